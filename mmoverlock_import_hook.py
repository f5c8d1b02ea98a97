"""Lets mmoverlock supply ``mmcv._ext`` where mmcv was installed without its compiled operators.

mmdet, mmseg and mmpretrain look for ``mmcv.ops`` once, when they are imported, and that may be
before anything imports mmoverlock. So Python calls :func:`install` at start-up, by a line in
``mmoverlock_import_hook.pth``, which setup.py writes and pip installs and removes. Hence this
module is outside the package, whose import would load PyTorch, and imports next to nothing.

A file ``mmcv/_ext.py`` in our wheel would need no finder, but an editable install copies no files,
and mmcv may be in another site-packages folder.
"""

import os
import sys


class StandInFinder:
    """Finds ``mmcv._ext`` in mmoverlock's ``compat/mmcv_ext``, and nothing else."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Return the stand-in's spec, or None where mmoverlock is gone or older than it."""
        if name != 'mmcv._ext':
            return None
        from importlib.util import find_spec, spec_from_file_location

        package = find_spec('mmoverlock')  # does not import it
        if package is None or package.origin is None:
            return None
        folder = os.path.join(os.path.dirname(package.origin), 'compat', 'mmcv_ext')
        module = os.path.join(folder, 'operators.py')
        if not os.path.isfile(module):  # a checkout of an older commit in PYTHONPATH
            return None
        # A package named mmcv._ext, so that its modules load without mmoverlock/__init__.py, which
        # imports libraries that import mmcv.ops.
        return spec_from_file_location(name, module, submodule_search_locations=[folder])


def install() -> None:
    """Put the finder last, so that a compiled ``mmcv._ext`` is found before the stand-in."""
    if StandInFinder not in sys.meta_path:
        sys.meta_path.append(StandInFinder)
