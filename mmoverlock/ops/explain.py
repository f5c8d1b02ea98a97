"""Which backend ran each operator of a model, and why the others did not."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .dispatch import Record, recording


@dataclass(frozen=True)
class Explanation:
    """What was selected in one run of a model; printing it gives a table."""

    records: tuple[Record, ...]

    def backends(self, operator: str) -> set[str]:
        """The backends that ran an operator."""
        return {record.backend for record in self.records if record.operator == operator}

    def reasons(self, operator: str, backend: str) -> set[str]:
        """Why a backend did not run (some calls of) an operator."""
        return {
            record.reasons[backend]
            for record in self.records
            if record.operator == operator and backend in record.reasons
        }

    def __str__(self) -> str:
        kinds = Counter(
            (record.operator, record.backend, *record.reasons.items()) for record in self.records
        )
        lines = []
        for (operator, backend, *reasons), calls in sorted(kinds.items()):
            why = '; '.join(f'{name}: {reason}' for name, reason in reasons)
            lines.append(f'{operator:<26}{backend:<11}{calls:>4} calls   {why}'.rstrip())
        return '\n'.join(lines) or 'no operator of mmoverlock ran'


def explain(
    model: nn.Module, *inputs: object, export: bool = False, **options: object
) -> Explanation:
    """Run a model once and tell which backends its operators used.

    In training mode the backward pass runs too. Parameters, gradients, running statistics and
    random numbers are left as they were.

    Args:
        model: Any model that calls the operators.
        inputs: What it is called with; keyword arguments likewise.
        export: Explain what ``torch.export`` of the model selects, instead of running it.

    Returns:
        The operators and their backends. ``print`` shows, for each, how often each backend ran and
        why the others did not.
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        with recording() as records, torch.random.fork_rng():
            if export:
                torch.export.export(model, inputs, options)
            elif model.training:
                _backward(model, model(*inputs, **options))
            else:
                with torch.no_grad():
                    model(*inputs, **options)
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
    return Explanation(tuple(records))


def _backward(model: nn.Module, outputs: object) -> None:
    # Fake tensors are left out: they have no backward pass where their device is missing.
    tensors = [out for out in tree_leaves(outputs) if type(out) is Tensor and out.requires_grad]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if tensors and parameters:
        loss = sum(tensor.float().mean() for tensor in tensors)
        torch.autograd.grad(loss, parameters, allow_unused=True)
