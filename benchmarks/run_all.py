"""Run all benchmarks: python benchmarks/run_all.py [--out DIR] [--device cuda --dtype bfloat16]

Each writes a JSON file and a plot into DIR, by default work_dirs/benchmarks.
"""

from __future__ import annotations

import sys

import branches
import contmix
import depthwise
import model


def main() -> None:
    options = sys.argv[1:]
    if '--out' not in options:
        options += ['--out', 'work_dirs/benchmarks']
    for benchmark in (contmix, depthwise, branches, model):
        benchmark.main(options)
        print()


if __name__ == '__main__':
    main()
