"""Everything about a run that can be wrong, checked before anything is written.

The checks build what the Runner will build (model, data sets, evaluators), read the checkpoints it
will load, and throw all of it away. That costs seconds; a mistake is then told in one line that
names the config's key, instead of by a traceback, or by a run that goes wrong hours later.
"""

import logging

import torch
from mmengine import registry
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch import nn

from mmoverlock.engine.distributed import env_rank
from mmoverlock.utils.config import each, require
from mmoverlock.utils.models import build_model, unwrap
from mmoverlock.utils.registry import build

from .checkpoints import check_checkpoints, check_resumed_classes
from .classes import check_data_classes, check_ignored_label, check_tested_classes, classes_of
from .datasets import check_dataset, check_topk
from .image_files import allowed_share
from .loops import check_loop
from .model import check_channels, check_masks, check_pair
from .monitors import check_monitors
from .objects import check_evaluator
from .paths import check_path
from .saving import saving_notes
from .settings import check_settings
from .steps import check_steps
from .validation import try_validation


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
        check_settings(cfg)
        for part in parts:
            if cfg.get(f'{part}_dataloader'):
                check_loop(cfg, f'{part}_cfg')
        if training:
            check_pair(model)
        if training and 'optimizer' in cfg.optim_wrapper:
            parameters = dict(params=[nn.Parameter(torch.zeros(1))])
            optimizer = {**cfg.optim_wrapper.optimizer, **parameters}
            build(registry.OPTIMIZERS, optimizer, 'optim_wrapper.optimizer')
        loaded = check_checkpoints(cfg, model, training)
        resumed = loaded if training else None
        keys = {key: f'{key}.dataset' for key in loaders}
        shares = {key: allowed_share(cfg) if key.startswith('train') else 0 for key in loaders}
        built = {
            at: check_dataset(cfg[key].dataset, at, model, shares[key]) for key, at in keys.items()
        }
        classes = {at: names for at, (_, names) in built.items()}
        check_data_classes({at: dataset for at, (dataset, _) in built.items()}, classes)
        if loaded:
            check = check_resumed_classes if training else check_tested_classes
            check(classes_of(loaded), classes[f'{parts[0]}_dataloader.dataset'], cfg.load_from)
        metrics = {}
        for part in parts:
            for key, metric in each(cfg.get(f'{part}_evaluator'), f'{part}_evaluator'):
                check_path(metric.get('ann_file') or '', f'{key}.ann_file')
                metric = metrics[key] = build(registry.METRICS, metric, key)
                check_topk(metric, key, classes)
                if f'{part}_dataloader' in keys:
                    check_evaluator(metric, key, *built[keys[f'{part}_dataloader']])
        check_ignored_label(model, metrics, {at: dataset for at, (dataset, _) in built.items()})
        datasets = {key: built[at][0] for key, at in keys.items()}
        check_steps(cfg, model, datasets, resumed)
        if not training:
            check_masks(cfg, model)
            return
        for note in saving_notes(cfg):
            print_log(note, logger='current', level=logging.WARNING)
        names = None
        if 'val_dataloader' in datasets:
            names = try_validation(cfg, model, datasets['val_dataloader'], metrics)
        check_monitors(cfg, names)
