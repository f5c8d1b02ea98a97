"""What MMEngine does with configs, without the part that takes seconds and changes nothing.

A base in another package, such as ``mmdet::_base_/default_runtime.py``: MMEngine parses all
metafiles of the package, half a second each time, in search of a model with this config, and takes
the file of that path if there is none. Here the file comes first.

A config's text: MMEngine lays it out anew, a second each time, for the log, the visualizer, the
dump, and every checkpoint. Here the layout of the last texts is kept.
"""

import copy
from pathlib import Path

from mmengine.config import Config, config
from mmengine.config.utils import _get_external_cfg_path

_KEPT = 8
_pretty_text = Config.pretty_text.fget
_texts: dict[str, str] = {}  # plain -> laid out


def _path(package_path: str, cfg_file: str) -> str:
    file = Path(package_path, '.mim', 'configs', cfg_file)
    return str(file) if file.is_file() else _get_external_cfg_path(package_path, cfg_file)


def _text(cfg: Config) -> str:
    """The config's Python code."""
    plain_cfg = copy.copy(cfg)
    object.__setattr__(plain_cfg, '_format_python_code', False)
    plain = _pretty_text(plain_cfg)
    if not cfg._format_python_code:
        return plain
    if plain not in _texts:
        _texts[plain] = _pretty_text(cfg)
        if len(_texts) > _KEPT:
            del _texts[next(iter(_texts))]  # the oldest
    return _texts[plain]


def install() -> None:
    """Make both changes; calling it again does nothing."""
    config._get_external_cfg_path = _path
    Config.pretty_text = property(_text)
