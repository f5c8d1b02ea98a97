"""Kills a training again and again, and resumes it; run as a program, it prints what it found.

It imports everything once and forks each training from itself, before any thread has started.

    python killed_run.py FOLDER PROCESSES KILLS SEED
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import select
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import torch

torch.set_num_threads(1)

import mmengine.config.config  # noqa: E402
import mmengine.runner.runner  # noqa: E402
import mmpretrain.models  # noqa: E402,F401
import sklearn.datasets  # noqa: E402,F401
from mmengine.config import Config  # noqa: E402
from mmengine.hooks import Hook  # noqa: E402
from mmengine.registry import HOOKS  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from mmoverlock.cli.train import main as train  # noqa: E402
from mmoverlock.engine import AtomicCheckpointHook  # noqa: E402
from mmoverlock.utils.checkpoint import read_checkpoint  # noqa: E402

ROOT = Path(__file__).parents[2]
EPOCHS, STEPS = 6, 4
CONFIG = f"""
_base_ = '{ROOT}/configs/quickstart/volo-flat_digits.py'
_base_.train_dataloader.dataset.pipeline.pop(1)  # the random crop
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, dims=(24,), outlookers=(1,), transformers=(1,), heads=(2,))
    ),
    head=dict(in_channels=24),
)
train_cfg = dict(max_epochs={EPOCHS})
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(indices=16 * {STEPS}))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(indices=8))
test_dataloader = val_dataloader
param_scheduler = dict(_delete_=True, type='LinearLR', start_factor=0.1, by_epoch=False, end=20)
custom_hooks = [hook for hook in _base_.custom_hooks if hook['type'] != 'DrawCurves']
"""
SLOW_DISK = 0.04  # seconds that a flush takes


@HOOKS.register_module()
class Reports(Hook):
    """Tells the parent when training begins."""

    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if REPORT is not None and batch_idx == 0:
            os.write(REPORT, b'T')


REPORT = None


def report_saves() -> None:
    """A slow disk, and a word to the parent before and after every checkpoint's saving."""

    def slow(descriptor: int, flush=os.fsync) -> None:
        time.sleep(SLOW_DISK)
        flush(descriptor)

    def reported(save):
        def wrapper(*args, **kwargs) -> None:
            os.write(REPORT, b'(')
            save(*args, **kwargs)
            os.write(REPORT, b')')

        return wrapper

    os.fsync = slow
    Runner.save_checkpoint = reported(Runner.save_checkpoint)  # of the best ones, too
    AtomicCheckpointHook._write = reported(AtomicCheckpointHook._write)


def start(
    config: Path, work_dir: Path, processes: int, resume: bool, epochs: int = EPOCHS, disk: int = 0
) -> tuple[list[int], int]:
    """Fork the processes of a training; their ids, and what the first one reports on.

    `disk` limits the size of files, in bytes.
    """
    global REPORT
    listen, speak = os.pipe()
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    arguments = [str(config), '--work-dir', str(work_dir), '--seed', '0']
    if processes > 1:
        arguments += ['--launcher', 'pytorch']
    arguments += ['--resume'] if resume else []
    arguments += ['--cfg-options', f'train_cfg.max_epochs={epochs}']
    pids = []
    for rank in range(processes):
        pid = os.fork()
        if pid:
            pids.append(pid)
            continue
        code = 1
        try:
            os.close(listen)
            log = os.open(work_dir.with_suffix('.log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if processes > 1:
                os.environ.update(
                    RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes),
                    LOCAL_WORLD_SIZE=str(processes), MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port),
                )  # fmt: skip
            if rank == 0:
                REPORT = speak
                report_saves()
            else:
                os.close(speak)
            if disk:
                resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))
            train(arguments)
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(speak)
    return pids, listen


def listen_for(pipe: int, word: bytes, count: int, heard: list[bytes]) -> bool:
    """Wait until `word` was heard so many times; False if the training ended before."""
    while heard.count(word) < count:
        byte = os.read(pipe, 1)
        if not byte:
            return False
        heard.append(byte)
    return True


def wait(pids: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def kill(pids: list[int], pipe: int, chance: random.Random, in_save: bool) -> str | None:
    """Kill a training at a random moment; what it was doing, or None if it had ended before."""
    heard: list[bytes] = []
    if in_save:
        came = listen_for(pipe, b'(', chance.randint(1, 3), heard)
        pause = chance.uniform(0, 4 * SLOW_DISK)
    elif chance.random() < 0.2:
        came, pause = True, chance.uniform(0, 1)  # while it starts
    else:
        came = listen_for(pipe, b'T', chance.randint(1, 2), heard)
        pause = chance.uniform(0, 0.5)
    if not came:
        return None
    time.sleep(pause)
    for pid in chance.sample(pids, len(pids)):
        os.kill(pid, signal.SIGKILL)
    ended = wait(pids)
    while select.select([pipe], [], [], 0)[0] and (byte := os.read(pipe, 1)):
        heard.append(byte)
    if ended[0] == 0:
        return None
    if heard.count(b'(') > heard.count(b')'):
        return 'saving'
    return 'training' if b'T' in heard else 'starting'


def result(work_dir: Path) -> dict:
    """What a finished run left: the last step, its weights, and the best checkpoint."""
    last = Path((work_dir / 'last_checkpoint').read_text())
    checkpoint = read_checkpoint(last)
    table = (work_dir / 'epochs.csv').read_text().splitlines()
    time_column = table[0].split(',').index('epoch_time')
    return dict(
        meta={key: checkpoint['meta'][key] for key in ('epoch', 'iter')},
        state={**checkpoint['state_dict']},
        momenta=checkpoint['optimizer']['state'],
        files=sorted(path.name for path in work_dir.glob('*.pth')),
        left=sorted(path.name for path in work_dir.glob('.*')),
        best=checkpoint['message_hub']['runtime_info']['best_score'],
        epochs=[[x for i, x in enumerate(row.split(',')) if i != time_column] for row in table],
    )


def differences(one: dict, other: dict) -> list[str]:
    """The names of what differs between two results."""
    different = [
        name for name in one if name not in ('state', 'momenta') and one[name] != other[name]
    ]
    if any(not torch.equal(value, other['state'][name]) for name, value in one['state'].items()):
        different.append('state')
    for index, values in one['momenta'].items():
        if any(
            not torch.equal(value, other['momenta'][index][name]) for name, value in values.items()
        ):
            different.append('momenta')
            break
    return different


def full_disk(folder: Path, config: Path) -> dict:
    """What a resumed run leaves when its checkpoint does not fit on the disk."""
    work_dir, found = folder / 'disk', {}
    for name, options in dict(
        first=dict(resume=False, epochs=1),
        full=dict(resume=True, epochs=2, disk=200_000),
        again=dict(resume=True, epochs=2),
    ).items():
        pids, pipe = start(config, work_dir, 1, **options)
        listen_for(pipe, b'none', 1, [])
        (code,) = wait(pids)
        os.close(pipe)
        files = sorted(path.name for path in work_dir.iterdir() if path.is_file())
        line = work_dir.with_suffix('.log').read_text().splitlines()[-1]
        found[name] = dict(code=code, files=files, line=line)
    return found


def main(folder: Path, processes: int, kills: int, seed: int) -> dict:
    # What takes longer than such a training.
    mmengine.runner.runner.collect_env = dict
    mmengine.config.config.FormatCode = lambda text, **_: (text, False)
    gc.freeze()
    chance = random.Random(seed)
    source, config = folder / 'source.py', folder / 'config.py'
    source.write_text(CONFIG + f'\ntrain_dataloader["batch_size"] = {16 // processes}\n')
    cfg = Config.fromfile(source)
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='Reports')]
    cfg.dump(config)  # without its bases: it loads faster
    pids, pipe = start(config, folder / 'undisturbed', processes, resume=False)
    listen_for(pipe, b'none', 1, [])
    assert wait(pids) == [0] * processes, (folder / 'undisturbed.log').read_text()[-2000:]
    expected = result(folder / 'undisturbed')
    work_dir = folder / 'killed'
    moments, finished, different = [], 0, []
    # Half of the kills hit a save.
    plan = [index % 2 == 0 for index in range(kills)]
    while plan or finished == 0 or work_dir.exists():
        # Before the first checkpoint, the same command starts over.
        resume = any(work_dir.glob('epoch_*.pth'))
        pids, pipe = start(config, work_dir, processes, resume)
        moment = kill(pids, pipe, chance, plan[0]) if plan else None
        if moment is not None:
            moments.append(moment)
            plan.pop(0)
        else:
            listen_for(pipe, b'none', 1, [])
            try:
                codes = wait(pids)
            except ChildProcessError:
                codes = [0] * processes  # waited for in kill()
            if codes != [0] * processes:
                return dict(failed=codes, log=work_dir.with_suffix('.log').read_text()[-3000:])
            different += differences(expected, result(work_dir))
            finished += 1
            shutil.rmtree(work_dir)
        os.close(pipe)
    found = dict(moments=moments, finished=finished, different=different, last=expected['meta'])
    return found if processes > 1 else dict(found, disk=full_disk(folder, config))


if __name__ == '__main__':
    print(json.dumps(main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))))
