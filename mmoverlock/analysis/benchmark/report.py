"""The figures of a benchmark, and how they are printed."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Part:
    """A row of the table: multiply-adds of one image's forward pass, time of a whole step."""

    name: str
    parameters: int
    multiply_adds: int
    time_ms: float
    backward_ms: float  # part of time_ms
    share: float


@dataclass(frozen=True)
class Report:
    """What :func:`.measure.benchmark` measured; printed by ``str``."""

    config: str
    mode: str
    size: tuple[int, int]
    size_from: str
    batch_size: int
    precision: str
    machine: str
    images_per_second: float
    step_ms: list[float]
    peak_memory_mb: float | None
    memory_kind: str
    parameters: int
    training_only_parameters: int
    multiply_adds: int
    parts: list[Part]
    operators: list[str]  # their backends, and why none of the others
    notes: list[str]
    slow: list[str]

    def __str__(self) -> str:
        height, width = self.size
        steps, memory = self.step_ms, self.peak_memory_mb
        step = f'{statistics.median(steps):.1f} ms, median of {len(steps)}'
        unused = f', and {self.training_only_parameters / 1e6:.2f} M for training only'
        facts = {
            'config': f'{self.config}, random weights',
            'machine': self.machine,
            'mode': f'{self.mode}, {self.precision}',
            'input': f'{self.batch_size} × 3 × {height} × {width} (size: {self.size_from})',
            'speed': f'{self.images_per_second:.2f} images/s',
            'step': f'{step} ({min(steps):.1f} to {max(steps):.1f})',
            'peak memory': 'unknown' if memory is None else f'{memory:.0f} MB, {self.memory_kind}',
            'parameters': _millions(self.parameters)
            + (unused if self.training_only_parameters else ''),
            'multiply-adds': f'{_operations(self.multiply_adds)} in the forward pass of one image '
            f'({_operations(2 * self.multiply_adds)}FLOPs)',
        }
        lines = [f'{name:<14} {fact}' for name, fact in facts.items()]
        lines += ['', *self._table(), '', 'operators', *self.operators, '']
        lines += [f'note: {note}' for note in self.notes] + [f'slow: {one}' for one in self.slow]
        return '\n'.join(lines).rstrip()

    def _table(self) -> Iterator[str]:
        names = [field.name for field in fields(Part)[1:]]
        total = Part('total', *(sum(getattr(part, name) for part in self.parts) for name in names))
        columns = {
            'part': lambda part: part.name,
            'parameters': lambda part: _millions(part.parameters),
            'multiply-adds': lambda part: _operations(part.multiply_adds),
            'time': lambda part: _milliseconds(part.time_ms),
            'backward': lambda part: _milliseconds(part.backward_ms),
            'share': lambda part: f'{part.share:.1%}',
        }
        if self.mode == 'inference':
            del columns['backward']
        rows = [[*columns]]
        rows += [[show(part) for show in columns.values()] for part in [*self.parts, total]]
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        for first, *rest in rows:
            cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
            yield '  '.join([first.ljust(widths[0]), *cells])


def _millions(count: float) -> str:
    return f'{count / 1e6:.2f} M' if count else ''


def _operations(count: float) -> str:
    unit, name = (1e9, 'G') if count >= 1e9 else (1e6, 'M')
    return f'{count / unit:.2f} {name}' if count else ''


def _milliseconds(time: float) -> str:
    return f'{time:.1f} ms' if time else ''
