"""The one place that decides which backend of an operator runs, and that can say why.

An :class:`Operator` lists its backends in the order of preference. A backend says whether it is
available on a device and whether it supports a call's arguments: the answer is None, or the reason
why not. What the user asks for comes first: the argument ``backend=``, then :func:`backend`, then
the environment variable MMOVERLOCK_BACKEND. Export takes the `reference`, because compiled kernels
cannot be part of an exported program, and so do the transforms of ``torch.func``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mmoverlock import environment

from .autotune import fastest, remembered

AUTO = 'auto'  # asks for no backend
EXPORT = 'compiled kernels cannot be exported'
TRANSFORM = 'compiled kernels have no rules for torch.func'

OPERATORS: dict[str, Operator] = {}
_requested: dict[str, str] = {}  # backends by operator; '' is for all of them
_records: list[Record] | None = None  # a list while `recording`


@dataclass(frozen=True)
class Backend:
    """One implementation of an operator.

    Args:
        name: 'reference', 'numba', 'triton' or 'natten'.
        run: The implementation. It imports what it needs when it is called.
        available: device → why it cannot run there, or None. Without it, it runs everywhere.
        supports: the call's arguments → why it does not take them, or None.
        unasked: device → why it does not run there unless it is asked for, or None.
    """

    name: str
    run: Callable
    available: Callable[[torch.device], str | None] | None = None
    supports: Callable[..., str | None] | None = None
    unasked: Callable[[torch.device], str | None] | None = None

    def refuses(self, args: tuple | None, device: torch.device, asked: bool = False) -> str | None:
        """Why it does not run a call with these arguments (None: whatever they are), or None."""
        reason = self.available and self.available(device)
        if reason is None and self.supports and args is not None:
            reason = self.supports(*args)
        if reason is None and self.unasked and not asked:
            reason = self.unasked(device)
        return reason


@dataclass(frozen=True)
class Record:
    """One selection: the operator, the backend that ran, and why each of the others did not."""

    operator: str
    backend: str
    reasons: dict[str, str]


class Operator:
    """An operator and its backends.

    Args:
        name: As in :mod:`mmoverlock.ops`.
        backends: In the order of preference; the last is the reference, which can always run.
        measured: Names of the backends of which the fastest is chosen where input has a kind; by
            default all. A measurement repeats one call, and so finds its weights in the cache.
    """

    def __init__(self, name: str, *backends: Backend, measured: tuple[str, ...] = ()):
        self.name = name
        self.measured = measured or tuple(backend.name for backend in backends)
        self.backends = {backend.name: backend for backend in backends}
        OPERATORS[name] = self

    def __call__(
        self,
        *args: object,
        device: torch.device,
        backend: str | None = None,
        kind: Hashable = None,
    ) -> object:
        """Select a backend and run it; see :meth:`select`."""
        return self.select(args, device, backend, kind).run(*args)

    def select(
        self,
        args: tuple,
        device: torch.device,
        backend: str | None = None,
        kind: Hashable = None,
    ) -> Backend:
        """The backend that runs this call.

        Args:
            args: The call's arguments.
            device: Where its tensors are.
            backend: The name of the backend that has to run.
            kind: Of input. If given, the fastest backend for this kind runs, as measured;
                otherwise the first that can.

        Raises:
            ValueError: if a backend that was asked for is unknown or cannot run.
        """
        kind = None if kind is None else (self.name, device, *kind)
        if _records is None and not (backend or requested(self.name) or needs_reference()):
            usual = self._usual(args, device, kind)
            if usual is not None:
                return usual
        name = self._asked_for(backend, args, device)
        if _records is None and kind is None:
            return self.backends[next(self._able(name, args, device))]
        able = list(self._able(name, args, device))
        rivals = [key for key in able if key in self.measured]
        chosen, slower = able[0], ()
        if kind is not None and chosen != name and len(rivals) > 1:
            runs = {key: partial(self.backends[key].run, *args) for key in rivals}
            chosen, slower = fastest(kind, runs, device), rivals
        if _records is not None:
            why = f'{chosen} was asked for' if chosen == name else f'{chosen} is preferred'
            whys = dict.fromkeys(self.backends, why) | dict.fromkeys(slower, 'slower, as measured')
            del whys[chosen]
            reasons = {k: self._refusal(k, name, args, device) or why for k, why in whys.items()}
            _records.append(Record(self.name, chosen, reasons))
        return self.backends[chosen]

    def _usual(self, args: tuple, device: torch.device, kind: Hashable) -> Backend | None:
        """The backend if none was asked for, found by asking as few as possible, or None."""
        if kind is not None:
            best = self.backends.get(remembered(kind))
            return best if best and best.refuses(args, device) is None else None
        for one in self.backends.values():
            if one.refuses(args, device) is None:
                return one
        return None

    def able(self, args: tuple, device: torch.device, backend: str | None = None) -> list[str]:
        """Names of the backends that may run this call; arguments as in :meth:`select`."""
        name = self._asked_for(backend, args, device)
        able = list(self._able(name, args, device))
        return able[:1] if able[0] == name else able

    def _able(self, name: str | None, args: tuple, device: torch.device) -> Iterator[str]:
        """The backends that can run a call: what was asked for, then in the order of preference."""
        for key in self.backends if name is None else {name: None} | self.backends:
            if self._refusal(key, name, args, device) is None:
                yield key

    def _refusal(self, key: str, name: str | None, args: tuple, device: torch.device) -> str | None:
        """Why a backend does not run a call for which `name` was asked, or None."""
        if name is None and key != 'reference' and needs_reference():
            return needs_reference()
        return self.backends[key].refuses(args, device, asked=key == name)

    def _asked_for(self, backend: str | None, args: tuple, device: torch.device) -> str | None:
        """The name of the backend that was asked for, by argument or for the process, if any.

        What is asked for the process concerns the operators that have such a backend, and those of
        their calls that it supports.
        """
        name = backend or requested(self.name)
        if name is None or (name in known() and name not in self.backends and not backend):
            return None
        if name not in known():
            raise ValueError(f"unknown backend '{name}': allowed are {known()}")
        one = self.backends.get(name)
        if one is None:
            reason = f'it has no {self.name}'
        else:
            reason = one.refuses(args if backend else None, device, asked=True)
        if reason:
            allowed = [one.name for one in self.backends.values() if not one.refuses(args, device)]
            raise ValueError(f"backend '{name}' cannot run here: {reason}; allowed are {allowed}")
        return name


def known() -> list[str]:
    """The names of all backends."""
    return sorted({name for operator in OPERATORS.values() for name in operator.backends})


def requested(operator: str = '') -> str | None:
    """The backend that the user asked for, of an operator or of all operators."""
    name = _requested.get(operator) or _requested.get('') or environment.backend()
    return None if name == AUTO else name


@contextmanager
def backend(name: str | None = None, **operators: str) -> Iterator[None]:
    """Ask for a backend, for the process, as long as the context lasts.

        with mmoverlock.ops.backend('reference'):
            model(image)
        with mmoverlock.ops.backend('reference', contmix='auto'):
            model(image)

    Args:
        name: Of the backend of all operators that have it, or 'auto'. 'reference' also turns off
            what is not an operator: channels_last maps and layers that overwrite their input.
        operators: Names of backends, or 'auto', by operator; they come first.

    Raises:
        ValueError: for an unknown name. A call raises it if the backend cannot run on its device.
    """
    global _requested
    for operator in operators:
        if operator not in OPERATORS:
            raise ValueError(f"unknown operator '{operator}': allowed are {sorted(OPERATORS)}")
    for wanted in (name, *operators.values()):
        if wanted is not None and wanted not in (AUTO, *known()):
            raise ValueError(f"unknown backend '{wanted}': allowed are {[AUTO, *known()]}")
    saved = _requested
    _requested = operators | {'': name} if name else saved | operators
    try:
        yield
    finally:
        _requested = saved


@contextmanager
def recording() -> Iterator[list[Record]]:
    """Collect what is selected as long as the context lasts."""
    global _records
    saved, _records = _records, []
    try:
        yield _records
    finally:
        _records = saved


@torch.compiler.assume_constant_result  # within torch.compile, is_exporting() is True otherwise
def needs_reference() -> str | None:
    """Why nothing but the reference may run now, or None.

    So it is in torch.jit.trace and torch.export, and thus in torch.onnx.export, and in vmap, grad
    and the other transforms of torch.func.
    """
    if torch.jit.is_tracing() or torch.compiler.is_exporting():
        return EXPORT
    return TRANSFORM if torch._C._are_functorch_transforms_active() else None


def reference_mode() -> bool:
    """True if everything runs as the formulas say: if it must, or the reference is asked for."""
    return needs_reference() is not None or requested() == 'reference'


def may_overwrite() -> bool:
    """True if a layer may write its result over its input, to save memory."""
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling() or reference_mode())


def best_layout(image: Tensor) -> Tensor:
    """The image (B, C, H, W) in the layout that suits its device: channels_last on the CPU."""
    if image.device.type != 'cpu' or reference_mode():
        return image
    return image.contiguous(memory_format=torch.channels_last)


def available_backends(device: torch.device | str = 'cpu', op: str = 'contmix') -> list[str]:
    """Names of the backends that can run an operator on a device, the default first."""
    device, operator = torch.device(device), OPERATORS[op]
    backends = operator.backends.values()
    return [one.name for one in backends if one.refuses(None, device, asked=True) is None]
