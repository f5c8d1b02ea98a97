"""tools/export.py: what it prints, and what it refuses in one line."""

import sys

import pytest

from mmoverlock.runtime.spec import INPUT

from ..user import check

CASES = [
    (['--format', 'onyx'], "--format onyx: allowed are 'onnx', "),
    (['--output', 'it.pt2'], "--output: 'it.pt2' does not end in .onnx, as onnx does"),
    (['--output', 'full/it.xml', '--format', 'openvino', '--size', '31', '64'], '--size: 31 × 64'),
    (['--output', 'nowhere/it.onnx'], "--output: the folder of 'nowhere/it.onnx' does not exist"),
    (['--output', '/proc/it.onnx'], "--output: the folder of '/proc/it.onnx' cannot be written"),
    (['--opset', '9'], '--opset 9: allowed are 18 to '),
    (['--opset', '999'], '--opset 999: allowed are 18 to '),
    (['--preprocess', 'all'], '--preprocess all: allowed are '),
    (['--size', '0', '64'], "argument --size: '0' is not a positive number"),
]


@pytest.mark.parametrize('arguments, message', CASES)
def test_mistakes(bad, at_home, tool, arguments, message, capsys):
    usual = ['cls.py', 'cls.pth', '--format', 'onnx', '--output', 'it.onnx']
    check(tool, 'export', [*usual, *arguments], message, at_home, capsys)


def test_mistakes_in_the_model(bad, at_home, tool, capsys):
    usual = ['--format', 'torchscript', '--output', 'it.pt']
    for files, message in (
        (['cls.py', 'other_arch.pth'], "checkpoint 'other_arch.pth'"),
        (['cls.py', 'no.pth'], "checkpoint 'no.pth' does not exist"),
        (
            ['seg.py', 'seg.pth', '--cfg-options', 'model.test_cfg.mode=slide'],
            "model.test_cfg.mode: 'slide' is not exported",
        ),
    ):
        check(tool, 'export', [*files, *usual], message, at_home, capsys)


def test_an_existing_file_is_not_overwritten(at_home, tool, tmp_path, capsys):
    path = tmp_path / 'it.pt'
    path.write_text('precious')
    arguments = ['cls.py', 'cls.pth', '--format', 'torchscript', '--output', str(path)]
    check(tool, 'export', arguments, 'exists, choose another name or remove it', tmp_path, capsys)


def test_a_missing_library_is_named(at_home, tool, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    arguments = ['cls.py', 'cls.pth', '--format', 'onnx', '--output', 'it.onnx']
    message = "'onnxscript' is needed, but not installed: pip install 'mmoverlock[deploy]'"
    check(tool, 'export', arguments, message, at_home, capsys)


def test_a_segmentor(at_home, tool, tmp_path, capsys):
    path = tmp_path / 'it.pt'
    tool('export')(
        [
            'seg.py',
            'seg.pth',
            '--format',
            'torchscript',
            '--output',
            str(path),
            '--size',
            '64',
            '96',
        ]
    )
    printed = capsys.readouterr()
    assert printed.err == ''
    lines = printed.out.splitlines()
    assert lines[0].startswith(f'wrote {path} (') and 'segmentation, 11 classes' in lines[0]
    assert f'input: {INPUT}, float32' in lines[1] and 'batch 1, 64 × 96 pixels' in lines[1]
    assert 'outputs: labels, logits' in printed.out
    assert 'on pictures of the test set, 1×64×96:' in printed.out
    assert 'labels: 12288 of 12288 agree' in printed.out
