"""mmoverlock: OverLoCK for the OpenMMLab libraries.

Importing the package registers its models, hooks and data sets. What it changes in other libraries
is listed in :func:`mmoverlock.compat.install`, and how idle threads wait in
:func:`mmoverlock.environment.limit_spinning`. Where PyTorch, MMEngine or mmcv is not installed,
there is nothing to register, and :mod:`mmoverlock.runtime` runs exported models.
"""

__version__ = '0.2.0'

from mmoverlock import environment

environment.limit_spinning()  # before anything loads PyTorch

if not environment.without_libraries():
    from mmoverlock import compat

    compat.install()  # before anything imports mmcv.ops

    from mmoverlock import datasets, engine, models  # noqa: F401
    from mmoverlock.apis.hub import get_model, list_models  # noqa: F401
