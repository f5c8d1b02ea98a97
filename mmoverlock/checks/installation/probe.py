"""Run as a program: try the named steps one after the other, and print what each found as JSON.

    python probe.py STEP...

It is a process of its own, because a broken package may end the process that imports it. A step is
a function here. What it returns are its facts; what it raises is why it failed.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

MARK = 'MMOVERLOCK-PROBE '  # what is printed besides is the packages' own
_SECONDS = 4.0  # of the speed check
_SIZE = 224  # pixels


def torch() -> dict[str, Any]:
    import torch

    facts = dict(
        version=torch.__version__, cuda=torch.version.cuda, hip=torch.version.hip,
        threads=torch.get_num_threads(), capability=torch.backends.cpu.get_cpu_capability(),
        numpy=torch.zeros(1).numpy().shape == (1,), devices=[],
    )  # fmt: skip
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts['devices'].append(torch.cuda.get_device_name(index))
        assert float((torch.ones(2, device='cuda') + 1).sum()) == 4
    return facts


def torchvision() -> dict[str, Any]:
    import torch
    import torchvision

    torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    return dict(version=torchvision.__version__)


def natten() -> dict[str, Any]:
    import natten.functional

    return dict(usable=hasattr(natten.functional, 'na2d_av'))


def mmcv() -> dict[str, Any]:
    import mmoverlock_import_hook as hook

    hooked = hook.StandInFinder in sys.meta_path
    hook.install()
    import mmcv._ext
    import mmcv.ops  # noqa: F401

    compiled = Path(mmcv._ext.__file__).name != 'operators.py'
    return dict(version=mmcv.__version__, compiled=compiled, hooked=hooked)


def mmdet() -> dict[str, Any]:
    import mmoverlock_import_hook

    mmoverlock_import_hook.install()
    import mmdet.models

    return dict(version=mmdet.__version__)


def mmoverlock() -> dict[str, Any]:
    spins = os.environ.get('GOMP_SPINCOUNT')
    import mmoverlock

    now = os.environ.get('GOMP_SPINCOUNT')
    return dict(version=mmoverlock.__version__, limited=now if now != spins else None)


def _network(device: str) -> tuple[Any, Any]:
    import torch

    from mmoverlock.models import OverLoCK

    model = OverLoCK('xxt', out_indices=(0, 1, 2, 3), deploy=True).eval().to(device)
    return model, torch.randn(1, 3, _SIZE, _SIZE, device=device)


def _device() -> str:
    import torch

    return 'cuda' if torch.cuda.is_available() else 'cpu'


def operators() -> dict[str, Any]:
    from mmoverlock.ops.explain import explain

    start = time.perf_counter()
    ran = explain(*_network(_device()))
    chosen = {}
    for record in ran.records:
        one = chosen.setdefault(record.operator, dict(backends=[], reasons={}))
        one['backends'] = sorted({*one['backends'], record.backend})
        one['reasons'].update(record.reasons)
    return dict(operators=chosen, seconds=time.perf_counter() - start)


def speed() -> dict[str, Any]:
    """ContMix by the backend that runs by itself and by reference, in turns; and the network."""
    import torch

    from mmoverlock.ops import backend, contmix

    device = _device()
    groups, channels, regions, height, width, small, large = 8, 16, 49, 32, 48, 5, 13
    shapes = [
        (1, groups, channels, height, width), (1, groups, channels, regions),
        (1, 2, groups, channels, height, width), (small**2 + large**2, regions),
        (small**2 + large**2,), (groups, 2 * small - 1, 2 * small - 1),
        (groups, 2 * large - 1, 2 * large - 1),
    ]  # fmt: skip
    tensors = [torch.randn(shape, device=device) / 4 for shape in shapes]
    model, image = _network(device)
    runs = {
        'auto': lambda: contmix(*tensors, small, large),
        'reference': lambda: contmix(*tensors, small, large),
        'network': lambda: model(image),
    }
    best = dict.fromkeys(runs, float('inf'))
    end, done = time.perf_counter() + _SECONDS, 0
    with torch.no_grad():
        while done < 3 or time.perf_counter() < end:
            for name, run in runs.items():
                with backend('reference' if name == 'reference' else 'auto'):
                    start = time.perf_counter()
                    run()
                    if device == 'cuda':
                        torch.cuda.synchronize()
                    if done:  # the first is a warm-up
                        best[name] = min(best[name], time.perf_counter() - start)
            done += 1
    return dict(**best, device=device, size=_SIZE)


def _import(name: str) -> dict[str, Any]:
    module = __import__(name)
    return dict(version=str(getattr(module, '__version__', '')))


def main(steps: list[str]) -> None:
    root = Path(__file__).resolve().parents[3]
    sys.path[0] = str(root)  # not this folder
    failed = set()
    for step in steps:
        print(f'{MARK}{json.dumps(dict(step=step))}', flush=True)
        try:
            if NEEDS.get(step) in failed:
                raise ImportError(f'{NEEDS[step]} cannot be imported')
            known = globals().get(step)
            facts = known() if step in STEPS else _import(step)
            found = dict(step=step, facts=facts)
        except BaseException as error:  # whatever a broken package raises
            text = ' '.join(str(error).split())
            failed.add(step)
            found = dict(step=step, error=f'{type(error).__name__}: {text}')
        print(f'{MARK}{json.dumps(found)}', flush=True)


# Steps that fail if another does, which then is what has to be mended.
NEEDS = {
    'torchvision': 'torch', 'timm': 'torchvision', 'natten': 'torch', 'mmengine': 'torch',
    'mmcv': 'mmengine', 'mmdet': 'mmcv', 'operators': 'mmoverlock', 'speed': 'operators',
}  # fmt: skip
STEPS = ('torch', 'torchvision', 'natten', 'mmcv', 'mmdet', 'mmoverlock', 'operators', 'speed')

if __name__ == '__main__':
    main(sys.argv[1:])
