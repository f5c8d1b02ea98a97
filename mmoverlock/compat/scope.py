"""The `mmoverlock` scope of MMEngine's registries.

Our classes register in MMEngine's root registries, so that configs of mmdet, mmseg and mmpretrain
alike find them by their bare names. MMEngine builds what a config inherits by ``mmoverlock::...``
in the scope `mmoverlock`, whose registries it finds among the roots' children.
"""

from typing import Any

import mmengine.registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DefaultScope, Registry

from mmoverlock.utils.config import SCOPE


class InheritedRegistry(Registry):
    """Resolves names in the enclosing scope: that of the library which the config is made for."""

    def get(self, key: str) -> Any:
        scopes = [instance.scope_name for instance in DefaultScope._instance_dict.values()]
        around = [scope for scope in scopes if scope != SCOPE]
        if not around:
            return self.parent.get(key)
        with self.parent.switch_scope_and_registry(around[-1]) as registry:
            return registry.get(key)


def install() -> None:
    """Make the scope known to MMEngine; calling it again does nothing."""
    for root in vars(mmengine.registry).values():
        if isinstance(root, Registry) and SCOPE not in root.children:
            InheritedRegistry(root.name, parent=root, scope=SCOPE)  # the parent keeps it
    # Without these entries MMEngine refuses `_base_ = 'mmoverlock::...'`, and 'mmseg::...' where
    # mmseg is installed under another name than mmsegmentation.
    MODULE2PACKAGE[SCOPE] = 'mmoverlock'
    MODULE2PACKAGE['mmseg'] = 'mmseg'
