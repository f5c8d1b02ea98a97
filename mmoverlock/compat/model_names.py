"""Our models by name in mmpretrain, mmdet and mmseg.

mmpretrain's functions find models in its class ``ModelHub``; the inferencers of mmdet and mmseg in
the metafiles of the package that their scope names. Each library is given our models of that
library, none of the others: it could not build them.
"""

import sys
from collections.abc import Iterator
from typing import Any

from mmoverlock.utils.model_index import index_root, model_infos

from .on_import import on_import

HUB = 'mmpretrain.apis.model'
INFERENCER = 'mmengine.infer.infer'


def change_hub(module: Any) -> None:
    """Change the module :data:`HUB`: our classifiers are registered when mmpretrain's own are."""
    hub = module.ModelHub
    register = hub._register_mmpretrain_models

    def _register_mmpretrain_models(cls: Any) -> None:
        register()
        ours = [one for one in model_infos().values() if one.scope == 'mmpretrain']
        if not cls.has(ours[0].name):
            for metafile in dict.fromkeys(one.metafile for one in ours):
                cls.register_model_index(metafile, config_prefix=index_root())

    hub._register_mmpretrain_models = classmethod(_register_mmpretrain_models)


def change_inferencer(module: Any) -> None:
    """Change the module :data:`INFERENCER`: before a library's metafiles come ours of it."""
    kind = module.BaseInferencer
    read = kind._get_models_from_metafile

    def _get_models_from_metafile(dir: str) -> Iterator[dict[str, Any]]:
        for one in model_infos().values():
            if one.scope in sys.modules and kind._get_repo_or_mim_dir(one.scope) == dir:
                # MMEngine joins a config's path to the library's folder and asks for weights.
                yield {'Weights': None, **one.entry, 'Config': str(one.config)}
        yield from read(dir)

    kind._get_models_from_metafile = staticmethod(_get_models_from_metafile)


def install() -> None:
    """Change mmpretrain's and MMEngine's classes now, if they are imported, or once they are."""
    for name, change in ((HUB, change_hub), (INFERENCER, change_inferencer)):
        if not on_import(name, change) and not _is_changed(sys.modules[name]):
            change(sys.modules[name])


def _is_changed(module: Any) -> bool:
    if module.__name__ == HUB:
        return module.ModelHub._register_mmpretrain_models.__module__ == __name__
    return module.BaseInferencer._get_models_from_metafile.__module__ == __name__
