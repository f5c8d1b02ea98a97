"""The `mmoverlock` scope of MMEngine's registries.

Our classes register in MMEngine's root registries, so that configs of mmdet, mmseg and mmpretrain
alike find them by their bare names. A config inherited as ``mmoverlock::...`` is built in the scope
`mmoverlock`, and MMEngine looks for registries of that name: these are empty and ask the roots.
"""

import mmengine.registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

ROOTS = [root for root in vars(mmengine.registry).values() if isinstance(root, Registry)]
OURS = dict(scope='mmoverlock', locations=['mmoverlock'])
SCOPED = [Registry(root.name, parent=root, **OURS) for root in ROOTS]

# Without this entry MMEngine refuses `_base_ = 'mmoverlock::...'`.
MODULE2PACKAGE['mmoverlock'] = 'mmoverlock'
