"""The accuracy of a classifier that has one of timm's names, on a folder of class folders.

Images are prepared by timm, as the model's ``pretrained_cfg`` says: that is how the published
accuracies were measured.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from timm.data import create_loader, resolve_data_config
from timm.utils import natural_key
from torch import Tensor, nn
from torchvision.datasets import ImageFolder

from mmoverlock.engine.checkpoints import fit_state_dict
from mmoverlock.utils.checkpoint import read_checkpoint, state_dict_of
from mmoverlock.utils.errors import did_you_mean, shown, why_unreadable

VALIDATION = ('val', 'valid', 'validation')  # the folder's names
CLASSIFIERS = ('head.main.4.weight', 'head.4.weight')  # ours, and the published name
EMA = 'state_dict_ema'  # timm's
TOPK = 5


def read_image(path: str) -> Image.Image:
    """An image in RGB; ValueError names a file that cannot be read."""
    try:
        with Image.open(path) as image:
            return image.convert('RGB')
    except Exception as error:  # of every decoder
        raise ValueError(f"image '{path}': {why_unreadable(path, error)}") from error


class Images(ImageFolder):
    """Images below ``folder/CLASS``; labels count in the order of `classes`."""

    def __init__(self, folder: Path, classes: Sequence[str]):
        self.order = classes
        super().__init__(str(folder), loader=read_image, allow_empty=True)
        if not self.samples:
            raise ValueError(f"'{folder}' holds no images in its {len(classes)} folders")

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        return list(self.order), {name: label for label, name in enumerate(self.order)}


def find_split(root: str | Path, split: str | None = None) -> Path:
    """The folder of the classes' folders: ``root/split``, ``root/val`` and its like, or `root`.

    Raises:
        ValueError: if there is none, or `root` holds training images alone.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"'{root}' is not a folder")
    names = (split,) if split else VALIDATION
    for name in names:
        if (root / name).is_dir():
            return root / name
    if split or (root / 'train').is_dir():
        raise ValueError(f"'{root}' holds no folder {' or '.join(names)}")
    return root


def class_order(folder: Path, checkpoint: Mapping[str, Any] | None = None) -> list[str]:
    """The names of the folders in the order of the labels.

    timm sorts by number ('2' before '10'), mmpretrain by letter; what a model was trained with
    its checkpoint tells, and mmpretrain's often names the classes, too.

    Raises:
        ValueError: if there are no folders.
    """
    names = [one.name for one in folder.iterdir() if one.is_dir() and one.name[0] != '.']
    if not names:
        raise ValueError(f"'{folder}' holds no folders, one for each class is needed")
    meta = (checkpoint or {}).get('meta')
    if not isinstance(meta, Mapping):
        return sorted(names, key=natural_key)
    known = (meta.get('dataset_meta') or {}).get('classes') or ()
    return list(known) if {*known} == {*names} else sorted(names)


def read_weights(path: str, ema: bool = False) -> dict[str, Any]:
    """A checkpoint, with its averaged weights (EMA) in the place of the others if `ema`."""
    checkpoint = read_checkpoint(path)
    if not ema:
        return checkpoint
    if not isinstance(checkpoint.get(EMA), Mapping):
        raise ValueError(f"checkpoint '{path}' holds no averaged weights ('{EMA}')")
    return {**checkpoint, 'state_dict': checkpoint[EMA]}


def load_classifier(
    name: str,
    classes: int,
    checkpoint: Mapping[str, Any] | None = None,
    path: str | None = None,
    merge: bool = True,
) -> nn.Module:
    """A model in evaluation mode, with the weights of a checkpoint or the published ones.

    Args:
        name: timm's: 'overlock_t'.
        classes: How many the model must have.
        checkpoint: What :func:`read_weights` gave; None: published weights.
        path: Of the checkpoint, for messages.
        merge: Whether to merge the large-kernel branches, if the file has not merged them.

    Raises:
        ValueError: for an unknown name, one without published weights, a checkpoint that does not
            fit, or another number of classes.
    """
    known = timm.list_models('overlock_*')
    if name.partition('.')[0] not in known:
        raise ValueError(
            f"model '{name}' is unknown{did_you_mean(name, known)}: {shown(known)} are allowed"
        )
    number, merged = 1000, False
    if checkpoint is not None:
        state = state_dict_of(checkpoint)
        merged = any(str(key).endswith('lk_origin.bias') for key in state)
        number = next((len(state[key]) for key in CLASSIFIERS if key in state), classes)
    elif not timm.models.is_model_pretrained(name):
        names = [one for one in known if timm.models.is_model_pretrained(one)]
        raise ValueError(f"model '{name}' has no published weights, only {shown(names)} have")
    if number != classes:
        raise ValueError(f'the model has {number} classes, the data {classes} folders')
    model = timm.create_model(name, checkpoint is None, num_classes=classes, deploy=merged)
    if checkpoint is not None:
        fits, _ = fit_state_dict(model, checkpoint, strict=True, path=path)
        model.load_state_dict(fits, strict=False)
    model.eval()
    if merge:
        model.backbone.reparameterize()
    return model


def image_loader(
    images: Images,
    model: nn.Module,
    batch_size: int,
    workers: int,
    device: torch.device,
    img_size: int | None = None,
    crop_pct: float | None = None,
) -> tuple[Iterable[tuple[Tensor, Tensor]], dict[str, Any]]:
    """Batches of images and labels, and how the images are prepared (timm's data config).

    Args:
        images: With transforms set by this.
        model: Gives what is not set here.
        batch_size: The last batch may be smaller.
        workers: Processes that read.
        device: Of the batches.
        img_size: Height and width.
        crop_pct: Side of the central crop over the shorter side of the resized image.
    """
    config = resolve_data_config(dict(img_size=img_size, crop_pct=crop_pct), model=model)
    loader = create_loader(
        images,
        batch_size=batch_size,
        num_workers=workers,
        pin_memory=device.type == 'cuda',
        persistent_workers=False,
        device=device,
        **config,
    )
    return loader, config


@torch.inference_mode()
def topk_accuracy(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    amp: torch.dtype | None = None,
) -> dict[str, float]:
    """Per cent of the images whose label is the first, or among the first five.

    Args:
        model: In evaluation mode.
        batches: Images (B, 3, H, W) and labels (B,), on `device`.
        device: Where the model goes.
        amp: Dtype of mixed precision.

    Returns:
        ``top1``, ``top5``, and the number of ``images``.

    Raises:
        ValueError: if a logit is NaN or infinite.
    """
    model = model.to(device)
    first = five = number = 0
    for images, labels in batches:
        with torch.autocast(device.type, amp, enabled=amp is not None):
            logits = model(images).float()
        if not logits.isfinite().all():
            raise ValueError('the model gives NaN or infinity' + (f' in {amp}' if amp else ''))
        best = logits.topk(min(TOPK, logits.shape[1])).indices == labels[:, None]
        first += int(best[:, 0].sum())
        five += int(best.sum())
        number += len(labels)
    return dict(top1=100 * first / number, top5=100 * five / number, images=number)
