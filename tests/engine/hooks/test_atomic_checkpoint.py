"""Nothing that was saved is lost: not by a kill, a full disk, a resume from elsewhere."""

import contextlib
import errno
import itertools
import os
import resource
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import BaseMetric
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmoverlock.engine import AtomicCheckpointHook
from mmoverlock.engine.run_files import newest_checkpoint
from mmoverlock.engine.runner import build_runner
from mmoverlock.utils.checkpoint import read_checkpoint

COUNT = itertools.count()


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    monkeypatch.setattr(os, 'fsync', lambda descriptor: None)


class Data(Dataset):
    metainfo = ConfigDict(classes=('a',), more=dict(deep=dict(x=1)))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.full((1,), float(index)))


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 1)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.fc(inputs).square().mean()) if mode == 'loss' else [inputs]


class Scores(BaseMetric):
    """The score of each epoch, by its number."""

    runner = None

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        score = self.scores[Scores.runner.epoch]
        return dict(acc=score, other=-score)


class Stop(BaseException):
    """As if the process was killed."""


class StopBeforeVal(Hook):
    def before_val_epoch(self, runner):
        raise Stop


def make(work_dir, epochs=3, scores=(0, 1, 2, 3, 4, 5, 6), hooks=(), resume=None, **options):
    hook = dict(interval=1, max_keep_ckpts=1, save_best='acc', rule='greater')
    runner = Runner(
        Model(),
        work_dir=str(work_dir),
        train_dataloader=DataLoader(Data(), 2),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_dataloader=DataLoader(Data(), 2),
        val_cfg=dict(),
        val_evaluator=[Scores(scores)],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=dict(type='AtomicCheckpointHook') | hook | options),
        custom_hooks=[dict(type='OutputGuard'), *hooks],
        resume=resume is not None,
        load_from=resume and str(resume),
        experiment_name=f'run_{next(COUNT)}',
        log_level='ERROR',
    )
    Scores.runner = runner
    return runner


def run(*args, **kwargs):
    runner = make(*args, **kwargs)
    runner.train()
    return runner


def files(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def newest(folder):
    return newest_checkpoint(Config(dict(work_dir=str(folder)))).path


def info(path):
    return read_checkpoint(path)['message_hub']['runtime_info']


def test_same_files_as_mmengine(tmp_path):
    for name, options in {
        'plain': dict(max_keep_ckpts=-1, save_best=None),
        'kept': dict(max_keep_ckpts=2),
        'begin': dict(save_begin=2, max_keep_ckpts=-1),
        'interval': dict(interval=2, save_last=False),
        'several': dict(save_best=['acc', 'other'], rule=['greater', 'greater']),
        'auto': dict(save_best='auto'),
        'named': dict(filename_tmpl='step-{}.pth', out_dir=str(tmp_path / 'out')),
        'steps': dict(by_epoch=False, interval=2),
        'backend': dict(backend_args=dict(backend='local')),
    }.items():
        left = []
        for kind in ('CheckpointHook', 'AtomicCheckpointHook'):
            for folder in (tmp_path / name, tmp_path / 'out'):
                shutil.rmtree(folder, ignore_errors=True)
            run(tmp_path / name, type=kind, **options)
            left.append((files(tmp_path / name), files(tmp_path / 'out' / name)))
            left[-1] += ((tmp_path / name / 'last_checkpoint').read_text(),)
        assert left[0] == left[1], name


def test_published_keys(tmp_path):
    run(tmp_path, published_keys=['meta', 'state_dict'])
    assert len(files(tmp_path)) == 4
    for name in files(tmp_path):
        parts = read_checkpoint(tmp_path / name).keys()
        assert ('message_hub' in parts) == ('-' not in name)


def test_takes_the_place_of_mmengines_hook(tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(Runner, 'from_cfg', built.append)
    for hooks in (
        dict(checkpoint=dict(type='CheckpointHook', interval=5)),
        dict(checkpoint=dict(type='mmengine.CheckpointHook', interval=5)),
        dict(checkpoint=dict(type=CheckpointHook, interval=5)),
    ):
        build_runner(Config(dict(default_hooks=hooks, custom_hooks=[hooks['checkpoint']])), False)
        expected = dict(type='AtomicCheckpointHook', interval=5)
        assert built[-1].default_hooks.checkpoint == expected
        assert built[-1].custom_hooks[0] == expected
    build_runner(Config(dict()), False)
    assert built[-1].default_hooks.checkpoint == dict(type='AtomicCheckpointHook', interval=1)
    build_runner(Config(dict(default_hooks=dict(checkpoint=None))), False)
    assert built[-1].default_hooks.checkpoint is None
    build_runner(Config(dict(default_hooks=dict(checkpoint=dict(type='Other')))), False)
    assert built[-1].default_hooks.checkpoint.type == 'Other'


@pytest.mark.parametrize('save_best', ['acc', None])
def test_killed_before_or_after_any_change_of_a_file(tmp_path, monkeypatch, save_best):
    """A kill at each call that changes a file, in turn; the run is resumed to the same end."""
    options = dict(epochs=2, save_best=save_best)
    run(tmp_path / 'whole', **options)
    expected = read_checkpoint(tmp_path / 'whole/epoch_2.pth')
    changes, limit = 0, None

    def counted(change):
        def call(*args, **kwargs):
            nonlocal changes
            changes += 1
            if limit is not None and changes > limit:
                raise Stop
            return change(*args, **kwargs)

        return call

    # As a kill leaves it: the clean-up of an exception fails, too.
    monkeypatch.setattr(os, 'fsync', counted(os.fsync))
    monkeypatch.setattr(os, 'replace', counted(os.replace))
    monkeypatch.setattr('pathlib.Path.unlink', counted(Path.unlink))
    monkeypatch.setattr(LocalBackend, 'remove', counted(LocalBackend.remove))
    run(tmp_path / 'counted', **options)
    total = changes
    assert total >= (20 if save_best else 8)
    for stop in range(total):
        folder = tmp_path / f'killed_{stop}'
        changes, limit = 0, stop
        with pytest.raises(Stop):
            run(folder, **options)
        limit = None
        path = newest(folder)
        assert path is not None or stop < 3  # of the first checkpoint
        saved = read_checkpoint(path)['meta']['epoch'] if path else 0
        run(folder, resume=path, **options)
        final = read_checkpoint(folder / 'epoch_2.pth')
        assert final['meta']['iter'] == expected['meta']['iter'], stop
        if not save_best:
            assert not saved or files(folder) == ['epoch_2.pth'], stop
        elif saved:
            assert info(folder / 'epoch_2.pth')['best_score'] == 2
            assert files(folder) == ['best_acc_epoch_2.pth', 'epoch_2.pth'], stop
        assert [path.name for path in folder.glob('.*')] == []
        assert (folder / 'last_checkpoint').read_text() == str(folder / 'epoch_2.pth')


def test_a_killed_validation_is_made_up_for(tmp_path):
    scores = (0, 3, 9, 1, 1)
    with pytest.raises(Stop):
        run(tmp_path, epochs=4, scores=scores, hooks=[StopAt(2)])
    assert files(tmp_path) == ['best_acc_epoch_1.pth', 'epoch_2.pth']
    run(tmp_path, epochs=4, scores=scores, resume=newest(tmp_path))
    assert files(tmp_path) == ['best_acc_epoch_2.pth', 'epoch_4.pth']
    # A finished run validates no more.
    run(tmp_path, epochs=4, hooks=[StopBeforeVal()], resume=newest(tmp_path))


class StopAt(Hook):
    def __init__(self, epoch):
        self.epoch = epoch

    def before_val_epoch(self, runner):
        if runner.epoch == self.epoch:
            raise Stop


@contextlib.contextmanager
def full_disk(largest):
    """No file can become larger, in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_loses_no_checkpoint(tmp_path):
    run(tmp_path, epochs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.glob('*.pth')}
    runner = make(tmp_path, resume=newest(tmp_path))
    with full_disk(4000), pytest.raises(OSError) as error:
        runner.train()
    assert str(error.value) == f"'{tmp_path}/epoch_2.pth' cannot be written: File too large"
    assert {path.name: path.read_bytes() for path in tmp_path.glob('*.pth')} == before
    assert list(tmp_path.glob('.*')) == []
    run(tmp_path, resume=newest(tmp_path))
    assert files(tmp_path) == ['best_acc_epoch_3.pth', 'epoch_3.pth']


def test_logs_that_cannot_be_written_lose_no_checkpoint(tmp_path, monkeypatch, capfd):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Fill(Hook):
        def before_train(self, runner):
            for handler in runner.logger.handlers:
                handler.setLevel('INFO')
                if hasattr(handler, 'baseFilename'):
                    monkeypatch.setattr(handler, 'stream', Full(handler.stream))

    class Full:
        def __init__(self, stream):
            self.close, self.flush, self.write = stream.close, fail, fail

    hooks = [dict(type='EpochTable'), dict(type='DrawCurves'), Fill()]
    runner = make(tmp_path, hooks=hooks)
    runner.logger.setLevel('INFO')
    for backend in runner.visualizer._vis_backends.values():
        monkeypatch.setattr(backend, '_dump', fail)
    monkeypatch.setattr('mmoverlock.engine.hooks.epoch_table.write_whole', fail)
    monkeypatch.setattr('mmoverlock.visualization.curves.draw_curves', fail)
    runner.train()
    assert files(tmp_path) == ['best_acc_epoch_3.pth', 'epoch_3.pth']
    out, err = capfd.readouterr()
    assert 'Traceback' not in err and err.count('cannot be written') == 1  # the log file
    assert out.count('cannot write, the run goes on without it: [Errno 28]') == 1


def test_an_old_checkpoint_that_cannot_be_removed_stays(tmp_path, monkeypatch):
    def fail(*args):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(LocalBackend, 'remove', fail)
    run(tmp_path, save_best=None)
    assert files(tmp_path) == ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']


def test_a_work_dir_that_vanishes_is_made_again(tmp_path):
    class Vanish(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 1:
                shutil.rmtree(tmp_path)

    run(tmp_path, epochs=2, hooks=[Vanish(), dict(type='EpochTable')])
    assert files(tmp_path) == ['best_acc_epoch_2.pth', 'epoch_2.pth']


@pytest.mark.parametrize('keys', [['acc'], ['acc', 'other']])
def test_resumed_from_elsewhere_nothing_is_removed_there(tmp_path, keys):
    options = dict(save_best=keys, max_keep_ckpts=2)
    old, new = tmp_path / 'old', tmp_path / 'new'
    run(old, **options)
    new.mkdir()
    (new / 'epoch_2.pth').write_text("a user's")
    before = files(old)
    run(new, epochs=6, resume=old / 'epoch_3.pth', **options)
    assert files(old) == before
    # The negative score was best in the first epoch: that file stays the best one.
    best = ['best_acc_epoch_6.pth']
    assert files(new) == [*best, 'epoch_2.pth', 'epoch_5.pth', 'epoch_6.pth']


def test_resumed_from_a_file_alone_a_best_one_is_written(tmp_path):
    old, new = tmp_path / 'old', tmp_path / 'new'
    run(old, scores=(0, 9, 9, 9))
    alone = tmp_path / 'alone.pth'
    shutil.copy(old / 'epoch_3.pth', alone)
    shutil.rmtree(old)
    run(new, epochs=4, resume=alone)
    assert files(new) == ['best_acc_epoch_4.pth', 'epoch_4.pth']


@pytest.mark.parametrize('copied', [False, True])
def test_a_moved_work_dir_goes_on(tmp_path, copied):
    old, new = tmp_path / 'old', tmp_path / 'new'
    run(old, epochs=2)
    (shutil.copytree if copied else shutil.move)(old, new)
    before = files(old)
    run(new, resume=newest(new))
    assert files(new) == ['best_acc_epoch_3.pth', 'epoch_3.pth']
    assert files(old) == before
    assert info(new / 'epoch_3.pth')['best_ckpt'] == str(new / 'best_acc_epoch_3.pth')


def test_a_checkpoint_names_no_file_that_is_not_a_runs(tmp_path):
    """What a message hub says is data of a file: it may not remove the user's files."""
    run(tmp_path)
    for name in ('pretrained.pth', 'notes.txt'):
        (tmp_path / name).write_text("a user's")
    (tmp_path.parent / 'epoch_9.pth').write_text("a user's")
    path = tmp_path / 'epoch_3.pth'
    checkpoint = read_checkpoint(path)
    checkpoint['message_hub']['runtime_info'].update(
        outdated_ckpts=['pretrained.pth', '../epoch_9.pth', 'notes.txt', 7],
        interim_ckpt='notes.txt',
        best_ckpt=str(tmp_path / 'pretrained.pth'),
        keep_ckpt_ids=['../../notes', 3],
    )
    torch.save(checkpoint, path)
    run(tmp_path, epochs=5, resume=path)
    assert (tmp_path / 'pretrained.pth').exists() and (tmp_path / 'notes.txt').exists()
    assert (tmp_path.parent / 'epoch_9.pth').exists()


def test_save_now(tmp_path):
    class Save(Hook):
        priority = 'LOWEST'

        def __init__(self, at):
            self.at = at

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter + 1 == self.at:
                (hook,) = (one for one in runner.hooks if isinstance(one, AtomicCheckpointHook))
                assert hook.save_now(runner, runner.epoch, self.at) == newest(tmp_path)
                raise Stop

    # MMEngine begins the epoch again.
    for at, expected in ((3, ['epoch_1.pth', 'iter_3.pth']), (4, ['epoch_1.pth', 'iter_4.pth'])):
        with pytest.raises(Stop):
            run(tmp_path, hooks=[Save(at)], resume=newest(tmp_path), save_best=None)
        assert files(tmp_path) == expected
        assert read_checkpoint(newest(tmp_path))['meta']['iter'] == at
    run(tmp_path, resume=newest(tmp_path), save_best=None)
    assert files(tmp_path) == ['epoch_3.pth']


def test_a_run_reads_its_metainfo(tmp_path, monkeypatch):
    warnings = []
    run(tmp_path, epochs=1)
    meta = read_checkpoint(tmp_path / 'epoch_1.pth')['meta']['dataset_meta']
    assert meta == dict(classes=('a',), more=dict(deep=dict(x=1))) and type(meta['more']) is dict
    runner = make(tmp_path, resume=tmp_path / 'epoch_1.pth')
    monkeypatch.setattr(runner.logger, 'warning', lambda text, *_: warnings.append(text))
    runner.train()
    assert not any('metainfo' in text for text in warnings)
