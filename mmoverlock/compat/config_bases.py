"""Finding the bases of configs in other packages, such as ``mmdet::_base_/default_runtime.py``.

MMEngine first parses every metafile of the package, which takes up to half a second for each base.
It looks there for a model with this config, and takes the file of that path if there is none. Here
the file comes first.
"""

from pathlib import Path

from mmengine.config import config
from mmengine.config.utils import _get_external_cfg_path


def _path(package_path: str, cfg_file: str) -> str:
    file = Path(package_path, '.mim', 'configs', cfg_file)
    return str(file) if file.is_file() else _get_external_cfg_path(package_path, cfg_file)


def install() -> None:
    """Take the file where it exists; calling it again does nothing."""
    config._get_external_cfg_path = _path
