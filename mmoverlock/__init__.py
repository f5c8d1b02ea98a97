"""mmoverlock: OverLoCK for the OpenMMLab libraries.

Importing the package registers its models, hooks and data sets, makes the config scope
``mmoverlock::`` known, and lets mmcv work without its compiled operators.
"""

__version__ = '0.1.0'

from mmoverlock.ops import mmcv_ext

mmcv_ext.install()  # before anything imports mmcv.ops

from mmoverlock import datasets, engine, models, registry  # noqa: E402, F401
