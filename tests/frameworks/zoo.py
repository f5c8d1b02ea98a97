"""Other people's configs, with OverLoCK-XXT in the place of their backbone.

    python tests/frameworks/zoo.py [--processes 2] [NAME ...]

Each config of configs.txt is built with random weights, takes one training step and predicts, on
pictures of 128 to 320 pixels; in several processes of DistributedDataParallel it takes three steps.
A table of what happened is printed.
"""

from __future__ import annotations

import argparse
import gc
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from torch import distributed, nn

from mmoverlock.models import OverLoCK
from mmoverlock.utils.config import as_list, walk

CONFIGS = Path(__file__).with_name('configs.txt')
STRIDES = (4, 8, 16, 32)
CHANNELS = OverLoCK('xxt', out_indices=(0, 1, 2, 3)).out_channels
SIDES = dict(dino=256, ddq=256, pisa=320, ssd=300, mobilenet_v3=832)  # pixels, by folder
SIDE = dict(mmdet=160, mmseg=128)

TOGETHER = 'trains in several processes'
VIDEO = 'masktrack_rcnn', 'qdtrack', 'mask2former_vis'

# What cannot be derived, by folder: the maps in the place of an hourglass's, which all have stride 4,
# or of a network's with dilation, and channels that have names of their own.
INDICES = dict(cornernet=[0], centripetalnet=[0], mobilenet_v3=[0, 1, 2])
INNER = dict(bisenetv1=[0, 1, 2, 3], stdc=[1, 2, 3])
CHANGES = {
    'ssd': {
        'neck.out_channels': (*CHANNELS[1:3], 512, 256, 256, 256),
        'bbox_head.in_channels': (*CHANNELS[1:3], 512, 256, 256, 256),
    },
    'bisenetv1': {
        'backbone.context_channels': (64, *CHANNELS[2:]),
        'backbone.spatial_channels': (64, 64, 64, CHANNELS[2] - 64),
        'auxiliary_head.0.in_channels': 64,
        'auxiliary_head.1.in_channels': 64,
    },
    'fastfcn': {'auxiliary_head.in_channels': CHANNELS[2]},
    'stdc': {
        'backbone.last_in_channels': CHANNELS[:1:-1],
        'backbone.ffm_cfg.in_channels': CHANNELS[1] + 128,
        'auxiliary_head.2.in_channels': CHANNELS[1],
    },
}


# Why OverLoCK cannot take the backbone's place, by folder and beginning of the name.
KNOWN = {
    'mmdet::detectors/': "the neck holds a second copy of the config's own backbone",
    'mmdet::faster_rcnn/faster-rcnn_r50-caffe-c4': 'the head is the last stage of ResNet',
    'mmdet::ld/': 'its base config is not in the package',
    'mmdet::queryinst/': 'fails to predict with random weights and its own backbone, too',
    'mmdet::ssd/': 'fails to predict with its own backbone, too',
    'mmdet::tridentnet/': 'the head asks for branches of TridentResNet',
    'mmseg::dpt/': 'the neck needs a class token',
    'mmseg::ocrnet/ocrnet_r101': 'both heads must have maps of one stride',
    'mmseg::setr/setr_vit-l_mla': 'all maps must have one stride',
}


def known(name: str) -> str | None:
    """Why a config cannot work, or None."""
    return next((reason for start, reason in KNOWN.items() if name.startswith(start)), None)


def names() -> list[str]:
    """Like 'mmdet::atss/atss_r50_fpn_1x_coco'."""
    return [line for line in CONFIGS.read_text().splitlines() if not line.startswith('#')]


def split(name: str) -> tuple[str, str, str]:
    """Library, folder, and the path in the library's configs."""
    library, _, path = name.partition('::')
    return library, path.partition('/')[0], f'{path}.py'


# ------------------------------------------------------------------------------- the config


def original(name: str) -> Config:
    library, _, path = split(name)
    return Config.fromfile(Path(import_module(library).__file__).parent / '.mim/configs' / path)


def read(name: str) -> Config:
    """The config of that name, its backbone replaced, without files to load."""
    library, folder, _ = split(name)
    cfg = original(name)
    for _, part in walk(cfg.model):
        for key in ('init_cfg', 'pretrained', 'batch_augments'):
            part.pop(key, None)
        if part.get('type') == 'MMSyncBN':
            part['type'] = 'BN'  # the other cannot be built without a process group
        if part.get('eps') == 0:  # of a norm; PyTorch refuses it
            part['eps'] = 1e-5
    if folder in INNER:
        cfg.model.backbone.backbone_cfg = overlock(INNER[folder])
    else:
        with DefaultScope.overwrite_default_scope(library):
            for _, part in walk(cfg.model):
                if isinstance(part.get('backbone'), dict):
                    replace_backbone(part, INDICES.get(folder))
    cfg.merge_from_dict({f'model.{key}': v for key, v in CHANGES.get(folder, {}).items()})
    return cfg


def overlock(indices: list[int]) -> dict[str, Any]:
    return dict(type='OverLoCK', arch='xxt', out_indices=indices)


def replace_backbone(model: dict, indices: list[int] | None) -> None:
    """Put OverLoCK's maps of the same strides in, and its channels where the old ones were."""
    old, strides = maps_of(model['backbone'])
    if indices:
        pass
    elif set(strides) <= set(STRIDES) and strides == sorted(set(strides)):
        indices = [STRIDES.index(stride) for stride in strides]
    else:  # a backbone with dilation, or a plain transformer
        indices = list(range(4))[-len(old) :]
    new = [CHANNELS[i] for i in indices]
    model['backbone'] = overlock(indices)
    parts = as_list(model.get('neck'))[:1]
    if not parts:
        parts = [part for key in model if 'head' in key for _, part in walk(model[key])]
    for part in parts:
        index = part.get('in_index', -1)
        if 'c1_in_channels' in part:
            part['c1_in_channels'] = new[0]
        if part.get('out_channels') in old and 'roi_layer' in part:
            part['out_channels'] = new[index]
        given = part.get('in_channels')
        if isinstance(given, int) and given in (old if 'in_index' in part else old[-1:]):
            part['in_channels'] = new[index] if isinstance(index, int) else [new[i] for i in index]
        elif isinstance(given, (list, tuple)):
            if list(given) == old[::-1] != old:
                index = range(len(old))[::-1]
            elif isinstance(index, int):
                index = range(len(old))[-len(given) :]
            part['in_channels'] = type(given)(new[i] for i in index)


def maps_of(backbone: dict) -> tuple[list[int], list[int]]:
    """Channels and strides of a backbone's maps."""
    for device in ('meta', 'cpu'):  # not every backbone can be built without memory
        try:
            with torch.device(device), torch.no_grad():
                model = revert_sync_batchnorm(MODELS.build(backbone)).to(device)
                model.eval()
                maps = model(torch.zeros(1, 3, 512, 512))
            maps = [out[0] if isinstance(out, (tuple, list)) else out for out in as_list(maps)]
            return [out.shape[1] for out in maps], [512 // out.shape[-1] for out in maps]
        except (NotImplementedError, RuntimeError):
            if device == 'cpu':
                raise


# ------------------------------------------------------------------------------- the data


def batch(name: str, images: int) -> dict[str, Any]:
    """Random pictures with the annotations that the config's data have, at random."""
    library, folder, path = split(name)
    side = SIDES.get(folder, SIDE[library])
    if library == 'mmseg':
        return pseudo_collate([segmented(side) for _ in range(images)])
    from mmdet.testing import demo_mm_inputs, demo_track_inputs

    if folder in VIDEO:
        keys = [0] if images > 1 else None
        return demo_track_inputs(1, images, keys, (3, side, side), [4], with_mask='mask' in folder)

    loading = [
        part for _, part in walk(original(name).train_dataloader.to_dict()) if 'type' in part
    ]
    panoptic = any(part['type'] == 'LoadPanopticAnnotations' for part in loading)
    data = demo_mm_inputs(
        images, (3, side, side), [4] * images, num_classes=2,
        with_mask=panoptic or any(part.get('with_mask') for part in loading),
        with_semantic=panoptic or any(part.get('with_seg') for part in loading),
        sem_seg_output_strides=8 if folder == 'htc' else 1,
    )  # fmt: skip
    for sample in data['data_samples']:
        sample.set_metainfo(dict(scale_factor=(1.0, 1.0), pad_shape=(side, side)))
        sample.gt_instances.labels.zero_()
        if folder == 'fast_rcnn':
            sample.proposals = InstanceData(bboxes=sample.gt_instances.bboxes, scores=torch.ones(4))
        sample.set_metainfo(dict(homography_matrix=np.eye(3, dtype=np.float32)))
    if folder == 'soft_teacher' and images > 1:
        branches = 'sup', 'unsup_teacher', 'unsup_student'
        return {key: {branch: deepcopy(data[key]) for branch in branches} for key in data}
    return data


def segmented(side: int) -> dict[str, Any]:
    from mmseg.structures import SegDataSample

    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 19, (1, side, side))))
    size = (side, side)
    sample.set_metainfo(dict(img_shape=size, ori_shape=size, pad_shape=size, flip=False))
    return dict(
        inputs=torch.randint(0, 256, (3, side, side), dtype=torch.uint8), data_samples=sample
    )


# ------------------------------------------------------------------------------- the runs


def build(name: str) -> nn.Module:
    cfg = read(name)
    library, folder, _ = split(name)
    side = SIDES.get(folder, SIDE[library])
    if library == 'mmseg':
        cfg.model.data_preprocessor.size = (side, side)
        cfg.model.test_cfg.mode = 'whole'
    torch.manual_seed(0)
    MMLogger.get_instance('zoo', log_level='ERROR')  # not a line for every tensor
    with DefaultScope.overwrite_default_scope(library):
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
    model.init_weights()  # Deformable DETR's embeddings have no values before
    # What hooks tell the losses of TOOD and BoxInst.
    for key in ('epoch', 'iter'):
        MessageHub.get_current_instance().update_info(key, 0)
    return model


def train(model: nn.Module, data: dict[str, Any]) -> list[str]:
    """One step; the names of the backbone's parameters that get no gradient.

    Raises:
        ArithmeticError: if the loss or a gradient is not finite.
    """
    data = model.data_preprocessor(data, training=True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    bad = [name for name, grad in grads.items() if not grad.isfinite().all()]
    if bad or not loss.isfinite():
        raise ArithmeticError(f'loss {loss.item():.3g}, gradients that are not finite: {bad[:3]}')
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    return [name for name in trained if 'backbone' in name and name not in grads]


def predict(model: nn.Module, data: dict[str, Any]) -> None:
    with torch.no_grad():
        model.eval()
        results = model.test_step(data)
    assert len(results) == 1


def three_steps(name: str) -> None:
    """Three steps in each of the processes of the group."""
    model = MMDistributedDataParallel(build(name), broadcast_buffers=False)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 1e-5))
    for _ in range(3):
        logs = model.train_step(batch(name, 2), optimizer)
    if not logs['loss'].isfinite():
        raise ArithmeticError(f'loss {logs["loss"]}')


def reason(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = ' '.join(str(error).split())[:160]
    return f'{type(error).__name__}: {text} [{Path(place.filename).name}:{place.lineno}]'


def alone(name: str) -> dict[str, str]:
    """What was tried in one process: 'yes', or the reason why it does not work."""
    results = {}
    try:
        what = 'builds'
        model = build(name)
        results[what], what = 'yes', 'trains'
        unused = train(model, batch(name, 2))
        results[what] = f'{len(unused)} parameters have no gradient' if unused else 'yes'
    except Exception as error:  # other people's code may fail in any way, and that is the result
        results[what] = reason(error)
    if 'builds' == what:
        return results
    try:
        predict(model, batch(name, 1))
        results['predicts'] = 'yes'
    except Exception as error:
        results['predicts'] = reason(error)
    return results


def together(rank: int, processes: int, names: list[str], port: int, queue) -> None:
    """A process of the group: go through the names, as long as all goes well."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        'gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=processes
    )
    for name in names:
        start = time.perf_counter()
        try:
            three_steps(name)
        except Exception as error:
            queue.put((name, reason(error), time.perf_counter() - start))
            raise
        gc.collect()
        distributed.barrier()
        if rank == 0:
            queue.put((name, 'yes', time.perf_counter() - start))
    distributed.destroy_process_group()


def run_together(names: list[str], processes: int) -> Iterator[tuple[str, dict[str, str], float]]:
    spawn = torch.multiprocessing.get_context('spawn')
    while names:
        queue = spawn.Queue()
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        common = processes, names, port, queue
        workers = [
            spawn.Process(target=together, args=(rank, *common)) for rank in range(processes)
        ]
        for worker in workers:
            worker.start()
        result = 'yes'
        while names and result == 'yes':
            name, result, seconds = queue.get(timeout=600)
            yield name, {TOGETHER: result}, seconds
            names = names[names.index(name) + 1 :]
        for worker in workers:
            worker.join(5)
            worker.kill()


def run_alone(names: list[str]) -> Iterator[tuple[str, dict[str, str], float]]:
    for name in names:
        start = time.perf_counter()
        results = alone(name)
        yield name, results, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('names', nargs='*', help='configs, or parts of their names; default all')
    parser.add_argument('--processes', type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [one for one in names() if not args.names or any(part in one for part in args.names)]
    if args.processes > 1:
        columns, runs = [TOGETHER], run_together(chosen, args.processes)
    else:
        columns, runs = ['builds', 'trains', 'predicts'], run_alone(chosen)
    counts = dict.fromkeys(columns, 0)
    print(f'| config | {" | ".join(columns)} | note |\n|{"---|" * (len(columns) + 2)}')
    for name, results, seconds in runs:
        for what in columns:
            counts[what] += results.get(what) == 'yes'
        cells = ' | '.join(results.get(what, 'no').replace('|', '/') for what in columns)
        print(f'| {name} | {cells} | {known(name) or ""} |', flush=True)
        print(f'{name}: {seconds:.0f} s', file=sys.stderr, flush=True)
    print(f'\nOf {len(chosen)}: ' + ', '.join(f'{what} {n}' for what, n in counts.items()))


if __name__ == '__main__':
    main()
