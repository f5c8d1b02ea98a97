"""Everything about a run that can be wrong, checked before anything is written.

The checks build what the Runner will build (model, data sets, evaluators), read the checkpoints it
will load, and throw all of it away. That costs seconds; a mistake is then told in one line that
names the config's key, instead of by a traceback, or by a run that goes wrong hours later.
"""

import re

import torch
from mmengine import registry
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmoverlock.engine.distributed import env_rank
from mmoverlock.utils.config import each, require, walk
from mmoverlock.utils.models import build_model, unwrap
from mmoverlock.utils.registry import build, check_type

from .checkpoints import check_checkpoints, check_resumed_classes
from .datasets import check_dataset, check_same_classes, check_topk
from .model import check_channels, check_masks, check_pair
from .paths import check_path

# What only the Runner can build: of this the types are checked.
_BUILT_LATER = {
    r'custom_hooks|default_hooks\.\w+': registry.HOOKS,
    'param_scheduler': registry.PARAM_SCHEDULERS,
    'visualizer': registry.VISUALIZERS,
    r'visualizer\.vis_backends': registry.VISBACKENDS,
    'log_processor': registry.LOG_PROCESSORS,
    'optim_wrapper': registry.OPTIM_WRAPPERS,
    '(train|val|test)_cfg': registry.LOOPS,
    r'(train|val|test)_dataloader\.(batch_)?sampler': registry.DATA_SAMPLERS,
}


def preflight(cfg: Config, training: bool) -> None:
    """Check a run that trains or tests; on each machine the first process does it for all.

    Raises:
        ValueError, OSError: naming what is wrong, its value and what is allowed.
    """
    if env_rank(local=True):
        return
    parts = ('train', 'val') if training else ('test',)
    other = 'optim_wrapper' if training else 'test_evaluator'
    require(cfg, 'model', f'{parts[0]}_dataloader', f'{parts[0]}_cfg', other)
    loaders = [f'{part}_dataloader' for part in parts if cfg.get(f'{part}_dataloader')]
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        model = unwrap(build_model(cfg))
        check_channels(cfg, model)
        for key, part in walk(cfg._cfg_dict):
            for pattern, kind in _BUILT_LATER.items():
                if re.fullmatch(rf'({pattern})(\.\d+)?', key):
                    check_type(kind, part, key)
        if training:
            check_pair(model)
        if training and 'optimizer' in cfg.optim_wrapper:
            parameters = dict(params=[nn.Parameter(torch.zeros(1))])
            optimizer = {**cfg.optim_wrapper.optimizer, **parameters}
            build(registry.OPTIMIZERS, optimizer, 'optim_wrapper.optimizer')
        resumed = check_checkpoints(cfg, model, training)
        keys = {f'{key}.dataset': cfg[key].dataset for key in loaders}
        classes = {key: check_dataset(one, key, model) for key, one in keys.items()}
        check_same_classes(classes)
        if resumed:
            check_resumed_classes(resumed, classes['train_dataloader.dataset'], cfg.load_from)
        for part in parts:
            for key, metric in each(cfg.get(f'{part}_evaluator'), f'{part}_evaluator'):
                check_path(metric.get('ann_file') or '', f'{key}.ann_file')
                check_topk(build(registry.METRICS, metric, key), key, classes)
        if not training:
            check_masks(cfg, model)
