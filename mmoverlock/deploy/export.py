"""From a config and a checkpoint to a file that another runtime executes."""

import contextlib
import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmoverlock import __version__
from mmoverlock.apis.loading import load_model
from mmoverlock.apis.names import class_names, colours
from mmoverlock.runtime.spec import CenterCrop, Pad, Resize, Spec, Step
from mmoverlock.utils.config import require
from mmoverlock.utils.datasets import leaf_dataset
from mmoverlock.utils.extras import extra
from mmoverlock.utils.silence import silence

from .agreement import HALF_TOLERANCE, RESIZE_TOLERANCE, TOLERANCE, Line
from .exportable import exportable, task_of
from .formats import BATCH, GREATEST, LEAST, OPSET, Settings, format_of
from .pictures import pictures
from .preprocess import INSIDE, Preprocessed, split
from .preprocessing import preprocessing, reading
from .verify import PICTURES, Shape, cases, shapes, verify

USUAL_SIZES = {'classification': (224, 224), 'detection': (800, 1344), 'segmentation': (512, 512)}


@dataclass(frozen=True)
class Exported:
    """What was written, and what its verification found.

    Args:
        files: All of them, the named one first.
        spec: In the file's metadata.
        outputs: Names of the outputs.
        tried: Shapes of the inputs that were tried; empty if nothing was verified.
        pictures: Which pictures these were.
        lines: What the comparison found.
        note: About half precision, or ''.
    """

    files: list[Path]
    spec: Spec
    outputs: tuple[str, ...]
    tried: list[Shape]
    pictures: str
    lines: list[Line]
    note: str


def export(
    cfg: Config,
    checkpoint: str,
    format: str,
    output: str | os.PathLike,
    dynamic: bool = False,
    half: bool = False,
    size: tuple[int, int] | None = None,
    preprocess: str = 'normalize',
    opset: int = OPSET,
    verified: bool = True,
) -> Exported:
    """Export a model, with its branches merged, and compare it with PyTorch.

    Args:
        cfg: Of mmpretrain, mmdet or mmseg.
        checkpoint: File or URL; every tensor of the model must come from it.
        format: 'onnx', 'torch-export', 'torchscript' or 'openvino'.
        output: New file; it is there only when it is whole and agrees with PyTorch.
        dynamic: Batches and pictures of any size from 32×32 up; otherwise one picture of `size`.
        half: Weights and computation in half precision; inputs and outputs stay float32.
        size: Height and width; by default what the config tests with.
        preprocess: What is inside the graph: 'none', 'normalize' (with padding), 'resize' (all).
        opset: ONNX's, from 18 on.
        verified: Whether to compare.

    Raises:
        ValueError, OSError: an argument is wrong or does not fit the model, a library is missing,
            the checkpoint is unsafe or does not belong to the config, or the file cannot be
            written.
        RuntimeError: the model could not be exported, or the file does not agree with PyTorch.
    """
    writer = _check(format, output, size, preprocess, opset)
    require(cfg, 'model', 'test_dataloader')
    settings = Settings(dynamic, half, opset)
    output = Path(output)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        with silence():
            model, loaded = load_model(cfg, checkpoint)
        channels, steps = preprocessing(cfg, model)
        before, inside = split(steps, preprocess)
        module = Preprocessed(exportable(model, cfg), inside).eval().requires_grad_(False)
        example = _example(task_of(model), size, before, inside, channels, dynamic)
        dataset = leaf_dataset(cfg.test_dataloader.dataset)
        classes = class_names(dataset, loaded, model)
        spec = Spec(
            task=task_of(model),
            classes=tuple(classes),
            palette=tuple(colours(dataset, loaded, len(classes))),
            channels=channels,
            before=before,
            inside=inside,
            sizes=((LEAST, GREATEST),) * 2 if dynamic else tuple((n, n) for n in example.shape[2:]),
            batch=(1, BATCH) if dynamic else (1, 1),
            origin=_origin(cfg, checkpoint, format, opset, half),
            **reading(cfg, model),
        )
        tried, made, source = [], [], ''
        if verified:
            with silence():
                found, source = pictures(cfg, PICTURES)
            number, _, *sides = example.shape
            tried = shapes((number, *sides), dynamic)
            made = cases(module, spec, found, tried)
    lines: list[Line] = []
    with _unfinished(output) as unfinished, _quiet():
        _write(writer, module, example, spec, unfinished, settings, format)
        if verified:
            resizes = any(isinstance(step, Resize) for step in inside)
            tolerance = RESIZE_TOLERANCE if resizes else TOLERANCE
            tolerance = HALF_TOLERANCE if half else tolerance
            try:
                lines = verify(writer.run(unfinished), spec.task, made, tolerance)
            except RuntimeError as error:
                raise RuntimeError(f"'{output}' was not kept: {error}") from error
            if not all(line.good for line in lines):
                what = '; '.join(map(str, lines))
                raise RuntimeError(f"'{output}' was not kept: it differs from PyTorch: {what}")
        files = _publish(unfinished, output)
    note = writer.HALF_ON_CPU if half else ''
    return Exported(files, spec, module.outputs, tried, source, lines, note)


def _check(
    format: str, output: str | os.PathLike, size: tuple | None, preprocess: str, opset: int
) -> ModuleType:
    """The format's module; ValueError if an argument is wrong or something is missing."""
    writer = format_of(format)
    path = Path(output)
    if path.suffix != writer.SUFFIX:
        raise ValueError(f"output: '{path}' does not end in {writer.SUFFIX}, as {format} does")
    for one in (path, path.with_suffix('.bin')) if format == 'openvino' else (path,):
        if one.exists():
            raise ValueError(f"output: '{one}' exists, choose another name or remove it")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"output: the folder of '{path}' does not exist")
    if not os.access(folder, os.W_OK):
        raise ValueError(f"output: '{path}' cannot be written: permission denied")
    if size is not None and min(size) < LEAST:
        height, width = size
        raise ValueError(f'size: {height} × {width} pixels, at least {LEAST} × {LEAST} are needed')
    if preprocess not in INSIDE:
        raise ValueError(f'preprocess={preprocess!r}: allowed are {[*INSIDE]}')
    for name in writer.NEEDS:
        extra(name, 'deploy')
    if 'onnx' in writer.NEEDS:
        newest = extra('onnx', 'deploy').defs.onnx_opset_version()
        if not OPSET <= opset <= newest:
            raise ValueError(f'opset={opset}: allowed are {OPSET} to {newest}')
    return writer


def _example(
    task: str,
    size: tuple[int, int] | None,
    before: tuple[Step, ...],
    inside: tuple[Step, ...],
    channels: str,
    dynamic: bool,
) -> Tensor:
    """The input with which the module is exported: (1, C, H, W), or of a batch of two."""
    if size is None:
        size = _tested_size(before + inside) or USUAL_SIZES[task]
    least = LEAST
    if dynamic:  # no map must be a single pixel, it would stay one: detectors' have strides to 128
        least = 2 * 128 + LEAST if task == 'detection' else 2 * LEAST
    height, width = (max(n, least) for n in size)
    if dynamic and height == width:
        width += LEAST  # equal numbers would look like one
    shape = 2 if dynamic else 1, 1 if channels == 'grey' else 3, height, width
    return 255 * torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _tested_size(steps: tuple[Step, ...]) -> tuple[int, int] | None:
    """Height and width after the steps, of pictures that are wide; None if they say nothing."""
    size = None
    for step in steps:
        if isinstance(step, (Resize, CenterCrop)):
            if isinstance(step, Resize) and step.mode == 'multiple':
                size = size and tuple(n + -n % step.size[0] for n in size)
            elif isinstance(step, Resize) and step.mode == 'inside':
                size = min(step.size), max(step.size)
            else:
                size = (*step.size, *step.size)[:2]
        elif isinstance(step, Pad):
            size = step.size or (size and tuple(n + -n % step.divisor for n in size))
    return size


def _origin(cfg: Config, checkpoint: str, format: str, opset: int, half: bool) -> dict:
    about = dict(
        config=Path(cfg.filename or '').name,
        checkpoint=Path(checkpoint).name,
        mmoverlock=__version__,
        torch=torch.__version__,
        format=format,
        half=half,
    )
    if Path(checkpoint).is_file():
        digest = hashlib.sha256()
        with open(checkpoint, 'rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
        about['sha256'] = digest.hexdigest()
    if format in ('onnx', 'openvino'):
        about['opset'] = opset
    return about


@contextlib.contextmanager
def _unfinished(output: Path) -> Iterator[Path]:
    """A path of the same name in a folder beside it, which is removed in the end."""
    name = f'.mmoverlock-{os.getpid()}-{secrets.token_hex(4)}.unfinished'
    folder = output.absolute().with_name(name)
    try:
        folder.mkdir()
    except OSError as error:
        reason = f"the folder of '{output}' cannot be written: {error.strerror}"
        raise OSError(f'output: {reason}') from error
    try:
        yield folder / output.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(unfinished: Path, output: Path) -> list[Path]:
    """Move what was written to its place, the named file last, and say where that is."""
    names = sorted(path.name for path in unfinished.parent.iterdir())
    names = [output.name, *(name for name in names if name != output.name)]
    files = [output.with_name(name) for name in names]
    for file in files:
        if file.exists():
            raise ValueError(f"output: '{file}' exists, choose another name or remove it")
    for file in reversed(files):
        os.replace(unfinished.with_name(file.name), file)
    return files


def _write(
    writer: ModuleType,
    module: nn.Module,
    example: Tensor,
    spec: Spec,
    path: Path,
    settings: Settings,
    format: str,
) -> None:
    """Write the file; RuntimeError in one line if the exporter fails."""
    try:
        with torch.no_grad():
            writer.write(module, example, spec, path, settings)
    except OSError:
        raise
    except Exception as error:  # whatever an exporter raises, often over a hundred lines
        reason = next(iter(str(error).strip().splitlines()), '')[:300]
        kind = type(module.network).__name__
        raise RuntimeError(
            f'{format} cannot express this {kind}: {type(error).__name__}: {reason}'
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters and runtimes print, log and warn of."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with silence():
            yield
    finally:
        logging.disable(before)
