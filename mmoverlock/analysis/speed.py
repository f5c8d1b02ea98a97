"""What a model costs: parameters, multiply-adds, time and memory, as ``speed.json``."""

import dataclasses
import statistics

from .analysis import Analysis
from .benchmark import benchmark
from .files import save_json
from .section import Section, Table

FILE = 'speed.json'
ITERS, WARMUP = 5, 1


class Speed(Analysis):
    """A benchmark of the config's model, of one image at a time."""

    sees = False

    def finish(self) -> Section:
        device = str(self.subject.device)
        report = benchmark(self.subject.cfg, iters=ITERS, warmup=WARMUP, device=device)
        save_json(self.folder / FILE, dataclasses.asdict(report))
        rows = [
            [one.name, one.parameters, one.multiply_adds, one.time_ms, one.share]
            for one in report.parts
        ]
        memory = report.peak_memory_mb
        return Section(
            'Speed',
            {
                'images per second': report.images_per_second,
                'milliseconds': statistics.median(report.step_ms),
                'parameters': report.parameters,
                'multiply-adds': report.multiply_adds,
                'input': ' × '.join(map(str, (report.batch_size, 3, *report.size))),
                'peak memory (MB)': memory,
            },
            [
                f'Median of {len(report.step_ms)} runs in {report.precision} on '
                f'{report.machine}, with random weights and images: what a detector costs also '
                'depends on what it finds. Large-kernel branches are merged. The peak is memory '
                f'{report.memory_kind}.',
                *(f'Note: {note}.' for note in report.notes),
                *(f'Slow: {one}.' for one in report.slow),
            ],
            [
                Table('Parts', ['part', 'parameters', 'multiply-adds', 'ms', 'share'], rows),
                Table('Operators', ['operator'], [[line.strip()] for line in report.operators]),
            ],
            files=[FILE],
        )
