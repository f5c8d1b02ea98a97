"""The predictions of a classifier."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..subject import Subject
from .results import Results


def samples(subject: Subject) -> Iterator[Results]:
    """Predict every picture; yields after each the table of all so far, always the same one.

    Raises:
        ValueError: pictures have several classes each, or as :meth:`.results.Results.add`.
    """
    results = Results(subject)
    caught: list[Tensor] = []

    def catch(head: torch.nn.Module, inputs: tuple) -> None:
        maps = inputs[0]
        # OverLoCK gives (focus, overview), of which the first counts; others give stages.
        last = maps[0 if hasattr(head, 'forward_aux') else -1] if isinstance(maps, tuple) else maps
        caught.extend(pooled(last).cpu())

    head = subject.model.head
    hook = head.register_forward_pre_hook(catch)
    try:
        for index, found in subject.predictions():
            label = found.get('gt_label')
            if label is not None and label.numel() != 1:
                raise ValueError(f'picture {index} has {label.numel()} classes: one is needed')
            results.add(
                index,
                found.pred_score.float().numpy(),
                None if label is None else int(label),
                caught.pop(0).numpy(),
            )
            yield results
    finally:
        hook.remove()


def pooled(features: Tensor | Sequence[Tensor]) -> Tensor:
    """(B, D) float32 from maps (B, D, H, W), tokens (B, N, D) or vectors (B, D).

    Several, such as DeiT's two tokens, are put side by side.
    """
    if not isinstance(features, Tensor):
        return torch.cat([pooled(one) for one in features], 1)
    if features.ndim == 4:
        features = features.mean((2, 3))
    elif features.ndim == 3:
        features = features.mean(1)
    return features.detach().float()
