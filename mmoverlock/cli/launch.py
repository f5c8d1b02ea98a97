"""Start one process per GPU: python -m mmoverlock.cli.launch GPUS SCRIPT [ARGUMENTS...].

It is torchrun plus what dist_train.sh promises: NNODES, NODE_RANK, MASTER_ADDR and PORT from the
environment, a free port when PORT is not set, and one line instead of a report when a process
fails: the reason that the first one to fail has left, with its exit code.

Signals that end a run are passed on to the processes, which get the time they need to save;
torchrun would kill them after 30 seconds, or know nothing of the signal. A second SIGTERM or Ctrl-C
kills them.
"""

import argparse
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType

import torch
from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from mmoverlock.utils.signals import AT_ONCE, SAVED, SIGNALS

from .command import command
from .options import ArgumentParser

DEFAULT_PORT = '29500'  # with several nodes, which must agree on it


def _number(name: str, text: str, low: int, high: int | None = None) -> int:
    number = int(text) if text.isdecimal() else -1
    if number >= low and (high is None or number <= high):
        return number
    allowed = f'from {low} to {high}' if high is not None else f'of at least {low}'
    raise ValueError(f"{name} must be a number {allowed}, got '{text}'")


def _port(nodes: int, node: int) -> int:
    text = os.environ.get('PORT', DEFAULT_PORT if nodes > 1 else '')
    port = _number('PORT', text, 1, 65535) if text else 0
    if node:
        return port
    try:
        with socket.create_server(('', port)) as probe:
            return probe.getsockname()[1]
    except OSError as error:
        reason = os.strerror(error.errno)
        raise ValueError(
            f'PORT {port} cannot be used ({reason}): set PORT to a free one'
        ) from error


def _use_cpu(processes: int) -> None:
    """Divide the cores among the processes and have glibc keep what is freed, unless set already.

    Taking maps of more than 32 MB from the system again costs more than most layers spend on one.
    """
    affinity = getattr(os, 'sched_getaffinity', None)  # not on every system
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    threads = os.environ.setdefault('OMP_NUM_THREADS', str(max(1, cores // processes)))
    os.environ.setdefault('MKL_NUM_THREADS', threads)
    for name in ('MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_'):
        os.environ.setdefault(name, str(1 << 32))


class _PassOn:
    """A signal handler that passes signals on to the processes that torchrun has started."""

    def __init__(self) -> None:
        self.received: list[int] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        again = number in AT_ONCE and any(earlier in AT_ONCE for earlier in self.received)
        self.received.append(number)
        processes = _children()
        for process in processes:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                if again:
                    os.killpg(process, signal.SIGKILL)
                else:
                    os.kill(process, number)
        if again or not processes:
            sys.exit(128 + number)


def _children() -> list[int]:
    """The ids of this process's children that lead a group of their own, as torchrun's do."""
    if Path('/proc/self/stat').exists():
        stats = {}
        for path in Path('/proc').glob('[0-9]*/stat'):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                stats[int(path.parent.name)] = path.read_text().rpartition(')')[2].split()
        found = [
            process
            for process, (state, parent, *_) in stats.items()
            if int(parent) == os.getpid() and state != 'Z'
        ]
    else:  # not Linux
        lines = subprocess.run(['pgrep', '-P', str(os.getpid())], capture_output=True, text=True)
        found = [int(line) for line in lines.stdout.split()]
    leaders = []
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process) == process:
                leaders.append(process)
    return leaders


def _first(failures: dict[int, ProcessFailure]) -> int:
    """The rank that failed first. Others fail because of it, often in the same second.

    torchrun compares whole seconds; the files that processes leave tell more.
    """

    def when(rank: int) -> tuple[int, float]:
        file = failures[rank].error_file
        written = os.stat(file).st_mtime_ns if os.path.isfile(file) else float('inf')
        return failures[rank].timestamp, written

    return min(failures, key=when)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('gpus', metavar='GPUS', help='number of processes on this machine')
    parser.add_argument('script', metavar='SCRIPT', help='Python script')
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help="the script's arguments")


@command(add_arguments, 'Start one process per GPU.')
def main(args: argparse.Namespace) -> None:
    """Run the script in as many processes, exit with 0 or the code of the first one to fail."""
    count = _number('GPUS', args.gpus, 1, torch.cuda.device_count() or None)
    nodes = _number('NNODES', os.environ.get('NNODES', '1'), 1)
    node = _number('NODE_RANK', os.environ.get('NODE_RANK', '0'), 0, nodes - 1)
    address = os.environ.get('MASTER_ADDR')
    if nodes > 1 and not address:
        raise ValueError(f'NNODES={nodes} needs MASTER_ADDR, the address of node 0')
    port = _port(nodes, node)
    if not torch.cuda.is_available():
        _use_cpu(count)
    logging.disable(logging.ERROR)  # torchrun's reports
    flags = [f'--nnodes={nodes}', f'--node-rank={node}', f'--nproc-per-node={count}']
    if (
        'signals-to-handle' in run.get_args_parser().format_help()
    ):  # an older torchrun takes them all
        flags += ['--signals-to-handle=SIGQUIT']
    flags += [f'--master-addr={address or "127.0.0.1"}', f'--master-port={port}']
    pass_on = _PassOn()
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, pass_on) for number in heard}
    try:
        run.run(run.parse_args([*flags, args.script, *args.arguments]))
    except ChildFailedError as error:
        rank = _first(error.failures)
        failure = error.failures[rank]
        code = failure.exitcode
        if code == SAVED or any(code in (-one, 128 + one) for one in pass_on.received):
            sys.exit(code if code > 0 else 128 - code)  # the process has said why
        if os.path.isfile(failure.error_file):
            message = failure.message
        else:  # it could not speak for itself
            how = f'ended by {failure.signal_name()}, out of memory?' if code < 0 else 'failed'
            message = f'process {rank} {how} (exit code {code})'
        sys.stderr.write(f'error: {message}\n')
        sys.exit(code if code > 0 else 128 - code)
    except SignalException as error:
        sys.exit(128 + error.sigval)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == '__main__':
    main(prog='mmoverlock.cli.launch')
