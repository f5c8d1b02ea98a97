"""mmoverlock: OverLoCK for the OpenMMLab libraries.

Importing the package registers its models, hooks and data sets. What it changes in other libraries
is listed in :func:`mmoverlock.compat.install`.
"""

__version__ = '0.1.0'

from mmoverlock import compat

compat.install()  # before anything imports mmcv.ops

from mmoverlock import datasets, engine, models  # noqa: E402, F401
