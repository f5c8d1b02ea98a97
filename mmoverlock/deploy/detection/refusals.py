"""What of a detector's settings cannot be exported."""

from typing import Any, NoReturn

from torch import nn


def refuse(what: str, allowed: str) -> NoReturn:
    """
    Raises:
        ValueError: always.
    """
    raise ValueError(f'{what} cannot be exported; allowed: {allowed}')


def check_nms(nms: dict[str, Any] | None, where: str) -> tuple[float, bool]:
    """The IoU threshold, and whether boxes of different classes suppress each other.

    Raises:
        ValueError: if it is not plain suppression.
    """
    nms = dict(nms or {'type': None})
    kind = nms.pop('type', 'nms')
    threshold, agnostic = nms.pop('iou_threshold', None), nms.pop('class_agnostic', False)
    nms.pop('split_thr', None)  # the same result, computed in parts
    if kind != 'nms' or threshold is None or nms:
        refuse(
            f'{where}.nms: {dict(type=kind, **nms)}',
            "type='nms' with iou_threshold, class_agnostic",
        )
    return float(threshold), bool(agnostic)


def inherits(part: nn.Module | None, methods: tuple[str, ...], *bases: type) -> bool:
    """Whether `part` is one of `bases` and does nothing in these methods that the base does not."""
    return any(
        isinstance(part, base)
        and all(getattr(type(part), name) is getattr(base, name) for name in methods)
        for base in bases
    )
