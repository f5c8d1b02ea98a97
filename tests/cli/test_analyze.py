"""`mmoverlock analyze` as a user runs it: what it writes, and every mistake in one line."""

import json
import os
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config

from mmoverlock.analysis import catalog
from mmoverlock.analysis.record import FILE

from ..user import ROOT, check

CASES = [
    (['cls.py', 'cls.pth', '--analysis', 'evl'], "analysis 'evl' does not exist, did you mean 'eval'?"),
    (['cls.py', 'cls.pth', '--max-images', '0'], "argument --max-images: '0' is not a positive"),
    (['cls.py'], 'the following arguments are required: checkpoint'),
    (['no.py', 'cls.pth'], "config 'no.py' does not exist"),
    (['no_model.py', 'cls.pth'], "config 'no_model.py' has no model"),
    (['no_test.py', 'cls.pth'], "config 'no_test.py' has no test_dataloader"),
    (['cls.py', 'no.pth'], "checkpoint 'no.pth' does not exist"),
    (['cls.py', 'det.pth'], "checkpoint 'det.pth' lacks "),
    (['cls.py', 'code.pth'], "checkpoint 'code.pth' refused: it carries code"),
    (['cls.py', 'ten.pth'], "checkpoint 'ten.pth' lacks 4 of the model's tensors"),
    (['three.py', 'cls.pth'], "test_dataloader.dataset: The number of subfolders (2) doesn't match"),
    (['other.py', 'named.pth'], "checkpoint 'named.pth' has its classes in another order"),
    (['empty.py', 'cls.pth'], 'test_dataloader.dataset: RuntimeError: Found 0 files'),
    (['cls.py', 'cls.pth', '--output-dir', 'full'], "--output-dir: 'full' is not empty, and holds no analysis.json"),
    (['cls.py', 'cls.pth', '--output-dir', 'a_file'], "--output-dir: 'a_file' cannot be made: '"),
    (['cls.py', 'cls.pth', '--output-dir', 'a_file/new'], "--output-dir: 'a_file/new' cannot be made: '"),
    (['cls.py', 'cls.pth', '--output-dir', 'analysed'], "--output-dir: 'analysed' holds the analysis of another checkpoint"),
    (['cls.py', 'cls.pth', '--output-dir', 'damaged'], "--output-dir: 'damaged/analysis.json' is damaged"),
    (['cls.py', 'cls.pth', '--device', 'tpu'], '--device tpu'),
    (['cls.py', 'cls.pth', '--analysis', 'eval', '--compare', 'cls.pth'], "--compare: only the analysis 'erf'"),
    (['cls.py', 'cls.pth', '--analysis', 'eval', '--layers', 'c4'], "--layers: only the analysis 'gradcam'"),
]  # fmt: skip


@pytest.fixture(scope='module')
def wrong(bad):
    """The wrong files of this command."""
    cls = Config.fromfile(bad / 'cls.py')
    weights = torch.load(bad / 'cls.pth', weights_only=True)['state_dict']
    meta = dict(dataset_meta=dict(classes=('light', 'dark')))
    torch.save(dict(state_dict=weights, meta=meta), bad / 'named.pth')
    ten = {
        name: value.repeat_interleave(5, 0) if value.shape[:1] == (2,) else value
        for name, value in weights.items()
    }
    torch.save(dict(state_dict=ten), bad / 'ten.pth')
    for name, changes in {
        'other': {},
        'three': {'test_dataloader.dataset.metainfo': dict(classes=('a', 'b', 'c'))},
        'empty': {'test_dataloader.dataset.data_root': 'data/nothing'},
    }.items():
        cfg = cls.copy()
        cfg.merge_from_dict(changes)
        cfg.dump(bad / f'{name}.py')
    cls.pop('test_dataloader')
    cls.dump(bad / 'no_test.py')
    (bad / 'data/nothing/none').mkdir(parents=True)
    record = dict(checkpoint='old.pth', sha256='0', analyses={})
    for folder, text in (('analysed', json.dumps(record)), ('damaged', '{')):
        (bad / folder).mkdir()
        (bad / folder / FILE).write_text(text)
    return bad


@pytest.mark.parametrize(('arguments', 'message'), CASES)
def test_mistakes(wrong, at_home, tool, capsys, arguments, message):
    check(tool, 'analyze', arguments, message, wrong, capsys)


def test_two_calls_make_one_report(at_home, tool, tmp_path, monkeypatch, capfd):
    """The second analyses one of the two images."""
    arguments = ['cls.py', 'cls.pth', '--output-dir', str(tmp_path / 'out')]
    monkeypatch.setattr('sys.argv', ['analyze.py', *arguments])
    tool('analyze')([*arguments, '--analysis', 'eval'])
    first = json.loads((tmp_path / 'out' / FILE).read_text())['analyses']['eval']
    monkeypatch.setattr('sys.argv', ['mmoverlock', 'analyze', *arguments])
    monkeypatch.setitem(
        catalog._CLASSES['classification'], 'speed', catalog._CLASSES['classification']['eval']
    )
    tool('analyze')([*arguments, '--analysis', 'speed', '--max-images', '1'])
    analyses = json.loads((tmp_path / 'out' / FILE).read_text())['analyses']
    assert analyses['eval'] == first
    assert [one['facts']['images'] for one in analyses.values()] == [2, 1]
    assert {one['facts']['command'] for one in analyses.values()} == {
        f'mmoverlock analyze cls.py cls.pth --output-dir {tmp_path}/out'
    }
    report = (tmp_path / 'out/report.html').read_text()
    assert report.count('<section') == 2 and '1 of 2, spread over the set' in report
    printed = ''.join(capfd.readouterr())
    for line in ('predictions of 2 images: ', 'eval: ', f'report: {tmp_path}/out/report.html'):
        assert line in printed


def test_neither_an_evaluator_nor_a_loop_is_needed(at_home, tool, tmp_path):
    cfg = Config.fromfile('cls.py')
    for key in ('test_evaluator', 'test_cfg'):
        cfg.pop(key)
    cfg.dump(tmp_path / 'cls.py')
    options = ['--analysis', 'eval', '--output-dir', str(tmp_path / 'out')]
    tool('analyze')([str(tmp_path / 'cls.py'), 'cls.pth', *options])
    assert (tmp_path / 'out/report.html').is_file()


def test_a_missing_library_is_told_first(wrong, at_home, tool, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'jinja2', None)
    message = "'jinja2' is needed, but not installed: pip install 'mmoverlock[analysis]'"
    check(tool, 'analyze', ['cls.py', 'cls.pth'], message, wrong, capsys)


def test_without_the_extra_the_rest_works(home):
    """The package and its commands can be imported; `analyze` says what to install."""
    hidden = ['captum', 'cleanlab', 'pytorch_grad_cam', 'tidecv', 'jinja2']
    script = (
        'import sys\n'
        f'sys.modules.update(dict.fromkeys({hidden}))\n'
        'from mmoverlock.cli.main import COMMANDS, main\n'
        'from importlib import import_module\n'
        "for name in COMMANDS: import_module(f'mmoverlock.cli.{name}')\n"
        "main(['analyze', 'cls.py', 'cls.pth'])\n"
    )
    done = subprocess.run(
        [sys.executable, '-c', script],
        cwd=home,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'MMOVERLOCK_BACKEND': 'reference'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "pip install 'mmoverlock[analysis]'" in done.stderr.splitlines()[-1]
