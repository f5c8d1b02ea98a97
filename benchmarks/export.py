"""Exported models against our kernels and torch.compile: size of the file, time, memory.

    python benchmarks/export.py [--arch t] [--out DIR]
    python benchmarks/export.py --config CONFIG [CHECKPOINT] --sizes 800,1344

Without --config it takes two networks of --arch with random weights, merged: the classifier at
224×224, and the detection backbone at 800×1344. --sizes has other sizes for them.

`ours` is PyTorch with our kernels, `+ compile` the same in torch.compile with frozen weights.
`onnxruntime` and `openvino` run one ONNX file of this size; with --dynamic, which takes minutes to
export, `dynamic` is onnxruntime with a file for any size.
With --before FILE, a file that an older version exported for the same input runs as a rival, too:
`before onnxruntime` and `before openvino`. Memory is the peak that is resident in a process of its
own, which loads and runs one rival, libraries included.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

Arrays = list[np.ndarray]
OURS, COMPILE, DYNAMIC = 'ours', '+ compile', 'dynamic'
CLASSIFIED = 224  # pixels of a side, at most; larger inputs are for the backbone
# Compared; labels and boxes may change places.
FLOATS = 'scores', 'logits', 'c2', 'c3', 'c4', 'c5'


def onnxruntime(file: Path) -> Callable[[np.ndarray], Arrays]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=['CPUExecutionProvider'])
    names = [one.name for one in session.get_outputs() if one.name in FLOATS]
    return lambda image: session.run(names, {session.get_inputs()[0].name: image})


def openvino(file: Path) -> Callable[[np.ndarray], Arrays]:
    import openvino

    exact = {'INFERENCE_PRECISION_HINT': 'f32'}
    compiled = openvino.Core().compile_model(file, 'CPU', exact)
    names = [one.any_name for one in compiled.outputs if one.any_name in FLOATS]

    def run(image: np.ndarray) -> Arrays:
        results = compiled(image)
        return [results[name] for name in names]

    return run


RUNTIMES = {'openvino': openvino, 'onnxruntime': onnxruntime, DYNAMIC: onnxruntime}


def runtime(rival: str) -> Callable[[Path], Callable[[np.ndarray], Arrays]]:
    return RUNTIMES[rival.removeprefix('before ')]


def image_of(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (1, 3, *size)).astype(np.float32)


def build(args: argparse.Namespace, size: tuple[int, int]):
    """The module that is exported, with `outputs`, and its task."""
    import torch
    from mmengine.registry import DefaultScope
    from torch import nn

    from mmoverlock.apis.loading import load_model
    from mmoverlock.deploy.exportable import exportable, task_of
    from mmoverlock.deploy.preprocess import Preprocessed
    from mmoverlock.deploy.preprocessing import preprocessing
    from mmoverlock.models import OverLoCK, OverLoCKHead
    from mmoverlock.models.overlock.reparam import DilatedReparam
    from mmoverlock.utils.config import read_config
    from mmoverlock.utils.models import build_model

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            dense = max(size) > CLASSIFIED
            form = dict(out_indices=(0, 1, 2, 3), fuse_overview=True) if dense else {}
            self.backbone = OverLoCK(args.arch, deploy=True, **form)
            self.head = None if dense else OverLoCKHead(1000, args.arch)
            self.outputs = ('c2', 'c3', 'c4', 'c5') if dense else ('scores',)

        def forward(self, image):
            maps = self.backbone((image - 120) / 60)
            return maps if self.head is None else (self.head(maps).softmax(1),)

    torch.manual_seed(0)
    if not args.config:
        return Network().eval().requires_grad_(False), 'classification'
    cfg = read_config(args.config[0])
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        if args.config[1:]:
            model, _ = load_model(cfg, args.config[1])
        else:
            model = build_model(cfg).eval()
            for part in model.modules():
                if isinstance(part, DilatedReparam):
                    part.reparameterize()
        _, steps = preprocessing(cfg, model)
        inside = [step for step in steps if step.type in ('normalize', 'pad')]
        module = Preprocessed(exportable(model, cfg), inside)
    return module.eval().requires_grad_(False), task_of(model)


def in_torch(module, compiled: bool) -> Callable[[np.ndarray], Arrays]:
    import torch

    network = module
    if compiled:
        torch._inductor.config.freezing = True
        network = torch.compile(module)

    def run(image: np.ndarray) -> Arrays:
        with torch.no_grad():
            results = network(torch.from_numpy(image))
        found = dict(zip(module.outputs, results, strict=True))
        return [found[name].numpy() for name in module.outputs if name in FLOATS]

    return run


def worker(args: argparse.Namespace) -> None:
    """Load and run one rival, and print the peak of this process's memory in bytes."""
    size = tuple(map(int, args.sizes[0].split(',')))
    if args.file:
        run = runtime(args.worker)(args.file)
    else:
        run = in_torch(build(args, size)[0], args.worker == COMPILE)
    run(image_of(size))
    status = Path('/proc/self/status').read_text(
        'utf-8'
    )  # getrusage would tell the parent's peak, too
    (kilobytes,) = re.findall(r'VmHWM:\s*(\d+) kB', status)
    print(1024 * int(kilobytes))


def peak(rival: str, file: Path | None, args: argparse.Namespace, size: tuple[int, int]) -> int:
    command = [sys.executable, __file__, '--worker', rival, '--arch', args.arch]
    command += ['--sizes', f'{size[0]},{size[1]}']
    command += ['--file', file] if file else []
    command += ['--config', *args.config] if args.config else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def measure(bench, size: tuple[int, int]) -> None:
    import torch
    from common import agree

    from mmoverlock.deploy.formats import Settings, format_of
    from mmoverlock.runtime.spec import Spec
    from mmoverlock.utils.silence import silence

    args, image = bench.args, image_of(size)
    module, task = build(args, size)
    runs, files = {OURS: in_torch(module, False)}, {OURS: None}
    if not args.skip_compile:
        runs[COMPILE], files[COMPILE] = in_torch(module, True), None
    with tempfile.TemporaryDirectory() as folder:
        for name in ('onnxruntime', DYNAMIC) if args.dynamic else ('onnxruntime',):
            file = files[name] = Path(folder, f'{name}.onnx')
            settings = Settings(dynamic=name == DYNAMIC)
            height, width = size
            batch = (
                (2, 3, height, width + 32 * (height == width)) if settings.dynamic else image.shape
            )
            with silence():
                format_of('onnx').write(module, torch.rand(batch), Spec(task, ()), file, settings)
        files['openvino'] = files['onnxruntime']
        if args.before:
            files |= {f'before {name}': args.before for name in ('onnxruntime', 'openvino')}
        runs |= {name: runtime(name)(file) for name, file in files.items() if file}
        rivals = {name: lambda run=run: tensors(run(image)) for name, run in runs.items()}
        agree(rivals, OURS, bench.dtype)
        peaks = {name: peak(name, file, args, size) for name, file in files.items()}
        weight = files['onnxruntime'].stat().st_size / 1e6
        what = Path(args.config[0]).stem if args.config else f'OverLoCK-{args.arch.upper()} merged'
        title = f'{what}, {size[0]}×{size[1]}, ONNX file {weight:.0f} MB'
        bench.case(title, rivals, OURS, peaks=peaks)


def tensors(arrays: Iterable[np.ndarray]) -> list:
    import torch

    return [torch.from_numpy(np.asarray(one)) for one in arrays]


def main(argv: list[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    if '--worker' in argv:  # which imports no more than its rival needs
        options = argparse.ArgumentParser()
        options.add_argument('--worker', required=True)
        options.add_argument('--file', type=Path)
        add_subjects(options)
        return worker(options.parse_args(argv))
    from common import Bench, parser

    options = parser(__doc__.splitlines()[0])
    add_subjects(options)
    options.add_argument('--before', type=Path, help='ONNX file of an older version')
    options.add_argument('--dynamic', action='store_true', help='measure free sizes, too')
    options.add_argument('--skip-compile', action='store_true')
    args = options.parse_args(argv)
    bench = Bench('export', args)
    for size in args.sizes:
        measure(bench, tuple(map(int, size.split(','))))
    bench.finish()


def add_subjects(options: argparse.ArgumentParser) -> None:
    options.add_argument('--arch', default='t')
    options.add_argument('--config', nargs='+', default=[], metavar='FILE')
    options.add_argument('--sizes', nargs='+', default=['224,224', '800,1344'], metavar='H,W')


if __name__ == '__main__':
    main()
