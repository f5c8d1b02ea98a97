"""All that only a GPU can tell, the most important first, in the minutes that it is given.

    python benchmarks/device_check.py --minutes 12 --out DIR
    python benchmarks/device_check.py --dry-run --out DIR    # on a CPU: every step, in small

The steps are in device/. They run in another process, so that one which breaks the
GPU's context costs itself alone. Each writes DIR/STEP.json as it ends; started again with the same
DIR, the program does what is missing, and --again does all of it. DIR/report.md and DIR/report.json
hold everything. The exit code is 1 if a check failed or a step broke, and 3 if time ran out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path


def worker(args: argparse.Namespace) -> None:
    """Do the steps that are asked for, and write what each finds as it is found."""
    from device import STEPS, Setting, Skip, tiles

    setting = Setting('cpu' if args.dry_run else 'cuda', tiny=args.dry_run)
    setting.prepare()
    for name in args.steps:
        start, rows = time.time(), []
        result = dict(step=name, title=STEPS[name].__doc__.splitlines()[0], rows=rows)

        def write(status: str, error: object = None, result: dict = result) -> None:
            result |= dict(status=status) | (dict(error=str(error)) if error else {})
            file_of(args.out, result['step']).write_text(json.dumps(result, indent=1), 'utf-8')

        write('running')
        try:
            for row in STEPS[name](setting):
                rows.append(row)
                write('running')
                print(name, *map(shown, row.values()), sep='  ', flush=True)
        except Skip as reason:
            write('skipped', reason)
            continue
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            write('broken', f'{type(error).__name__}: {error}')
        else:
            result |= dict(seconds=round(time.time() - start, 1), tiles=tiles())
            write('passed' if all(row.get('ok', True) for row in rows) else 'failed')
        setting.check_context()


def file_of(folder: Path, step: str) -> Path:
    return folder / f'{step}.json'


def results(folder: Path, steps: list[str]) -> dict[str, dict]:
    """What those of the steps that were begun have found."""
    begun = [name for name in steps if file_of(folder, name).exists()]
    return {name: json.loads(file_of(folder, name).read_text('utf-8')) for name in begun}


def missing(folder: Path, steps: list[str]) -> list[str]:
    """The steps that did not end yet; the one that was running when time was over comes last."""
    found = results(folder, steps)
    running = [name for name, one in found.items() if one['status'] == 'running']
    return [name for name in steps if name not in found] + running


def run(args: argparse.Namespace) -> bool:
    """Start workers until nothing is missing or time is over; whether all was done."""
    end = time.time() + 60 * args.minutes
    environment = os.environ | (dict(TRITON_INTERPRET='1') if args.dry_run else {})
    while steps := missing(args.out, args.steps):
        command = [sys.executable, __file__, '--worker', '--out', args.out]
        command += ['--dry-run'] * args.dry_run + ['--steps', *steps]
        process = subprocess.Popen(command, env=environment)
        try:
            code = process.wait(max(end - time.time(), 1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        if code:
            reason = f'the process ended with exit code {code}'
            for name, one in results(args.out, steps).items():
                if one['status'] == 'running':
                    one |= dict(status='broken', error=reason)
                    file_of(args.out, name).write_text(json.dumps(one, indent=1), 'utf-8')
            if missing(args.out, args.steps) == steps:
                print(f'no step was begun: {reason}', file=sys.stderr)
                return False
    return True


def table(rows: list[dict]) -> str:
    """Rows as tables in Markdown, one for each set of columns."""
    text, columns = [], None
    for row in rows:
        if [*row] != columns:
            columns = [*row]
            text += ['', f'| {" | ".join(columns)} |', f'|{"---|" * len(columns)}']
        text.append(f'| {" | ".join(map(shown, row.values()))} |')
    return '\n'.join(text)


def shown(value: object) -> str:
    if isinstance(value, bool):
        return 'yes' if value else '**no**'
    return f'{value:.3g}' if isinstance(value, float) else '' if value is None else str(value)


def report(folder: Path, steps: list[str]) -> dict[str, dict]:
    """Write report.md and report.json; what the steps have found."""
    found = results(folder, steps)
    text = ['# Device check', '']
    for one in found.values():
        text += [f'## {one["step"]}: {one["status"]}', '', one['title']]
        text += [one.get('error', ''), table(one['rows']), '']
    (folder / 'report.md').write_text('\n'.join(text), 'utf-8')
    (folder / 'report.json').write_text(json.dumps([*found.values()], indent=1), 'utf-8')
    return found


def main() -> None:
    from device import STEPS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, metavar='DIR')
    parser.add_argument('--minutes', type=float, default=12, help='to run, at most')
    parser.add_argument('--steps', nargs='+', choices=STEPS, default=[*STEPS], metavar='STEP')
    parser.add_argument('--dry-run', action='store_true', help='on the CPU, in small')
    parser.add_argument('--again', action='store_true', help='do what was done before, too')
    parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(args)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.again:
        for name in args.steps:
            file_of(args.out, name).unlink(missing_ok=True)
    complete = run(args)
    found = report(args.out, [*STEPS])
    for name, one in found.items():
        print(f'{name:<20}{one["status"]:<10}{one.get("error", "")}')
    print(f'{args.out / "report.md"}')
    if any(found[name]['status'] in ('failed', 'broken') for name in args.steps if name in found):
        sys.exit(1)
    if not complete:
        sys.exit(3)


if __name__ == '__main__':
    main()
