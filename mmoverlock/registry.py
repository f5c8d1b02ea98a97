"""MMEngine imports ``mmoverlock.registry`` before it looks into the scope `mmoverlock`.

The scope's registries are made in :mod:`mmoverlock.compat.scope`.
"""
