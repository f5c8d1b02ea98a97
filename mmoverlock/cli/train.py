"""Train a model: ``mmoverlock train CONFIG``."""

import argparse
import contextlib
import logging
import os
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from mmoverlock.checks.preflight import preflight
from mmoverlock.datasets.formats import FORMATS
from mmoverlock.engine.distributed import env_rank, process_group
from mmoverlock.engine.run_files import agree_on_checkpoint, holds_checkpoints, newest_checkpoint
from mmoverlock.engine.runner import build_runner

from .command import command
from .config import load_config
from .finetune import use_data_root
from .finetune.common import data_folder
from .options import ArgumentParser, add_run_options
from .stopped import says_where_it_stopped
from .work_dir import claimed, data_kept_on_error, earlier_checkpoints, remove, undone_on_error


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    add_run_options(parser)
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate to the batch size'
    )
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='PATH',
        help='continue from this checkpoint, or from the last one in the work_dir',
    )  # fmt: skip
    parser.add_argument(
        '--auto-resume', action='store_true',
        help='like --resume if the work_dir has a checkpoint, else begin',
    )  # fmt: skip
    parser.add_argument(
        '--overwrite', action='store_true', help='remove the checkpoints of an earlier run'
    )
    parser.add_argument(
        '--data-root',
        metavar='DIR',
        help='train on the images of this folder: in class folders, with boxes or masks, or with '
        'label images',
    )
    parser.add_argument(
        '--data-format', choices=FORMATS, help='format of its annotations (default: detected)'
    )
    parser.add_argument(
        '--num-classes', type=int, metavar='N', help='how many classes that folder should have'
    )
    parser.add_argument(
        '--seed', type=int, metavar='N', help='make the run repeatable, bit by bit, somewhat slower'
    )


@command(add_arguments, 'Train a model.')
def main(args: argparse.Namespace) -> None:
    cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    for name in ('num_classes', 'data_format'):
        if getattr(args, name) is not None and args.data_root is None:
            raise ValueError(f'--{name.replace("_", "-")} requires --data-root')
    if args.seed is not None:  # on one machine, the same run again
        if not 0 <= args.seed < 2**32:
            raise ValueError(f'--seed {args.seed}: a number from 0 to {2**32 - 1} is needed')
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # cuBLAS asks for it
        cfg.randomness = dict(seed=args.seed, deterministic=True)
    if args.amp:
        use_amp(cfg)
    if args.auto_scale_lr:
        if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
            raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    for name in ('resume', 'auto_resume'):
        if getattr(args, name) and args.overwrite:
            raise ValueError(f'--{name.replace("_", "-")} and --overwrite contradict each other')
    with claimed(cfg.work_dir) as new:
        if args.auto_resume and holds_checkpoints(cfg):
            args.resume = 'auto'
        if args.resume:
            set_resume(cfg, args.resume)
        old = earlier_checkpoints(cfg, args.overwrite)
        with contextlib.ExitStack() as stack:
            stack.enter_context(undone_on_error(new))
            if args.data_root is not None:
                stack.enter_context(data_kept_on_error(data_folder(cfg)))
                use_data_root(
                    cfg, args.data_root, args.data_format, args.num_classes, args.cfg_options
                )
            preflight(cfg, training=True)
        remove(old, cfg.work_dir)
        with says_where_it_stopped(), process_group(cfg):
            agree_on_checkpoint(cfg)
            build_runner(cfg, strict=False).train()


def use_amp(cfg: Config) -> None:
    """Train in bfloat16 where the GPU has it, else in float16 with loss scaling."""
    if not torch.cuda.is_available():
        raise ValueError('--amp needs a GPU, this machine has none')
    bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    dtype, loss_scale = ('bfloat16', 1.0) if bfloat16 else ('float16', 'dynamic')
    cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype=dtype, loss_scale=loss_scale)


def set_resume(cfg: Config, path: str) -> None:
    """Continue from `path`, or from the newest whole checkpoint in the work_dir when it is 'auto'.

    Of several processes the first one chooses it, see :func:`agree_on_checkpoint`.
    """
    cfg.resume = True
    if path != 'auto':
        if '://' not in path and not Path(path).is_file():
            raise ValueError(f"--resume: checkpoint '{path}' does not exist")
        cfg.load_from = path
        return
    cfg.load_from = None
    if env_rank():
        return
    choice = newest_checkpoint(cfg)
    passed = ', '.join(f'{name} ({why})' for name, why in choice.passed.items())
    if choice.path is None:
        reason = f': passed over {passed}' if passed else ''
        raise ValueError(f"--resume: no checkpoint in work_dir '{cfg.work_dir}'{reason}")
    if passed:
        message = f'--resume: continue from {choice.path}, passed over {passed}'
        print_log(message, logger='current', level=logging.WARNING)
    cfg.load_from = choice.path
