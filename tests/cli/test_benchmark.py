"""tools/benchmark.py on a detector, a classifier and a segmentor; counts that are known; mistakes."""

import json
import re

import pytest
import torch

from ..user import ROOT

DETECTOR = str(ROOT / 'configs/quickstart/mask-rcnn_overlock-xxt_fpn_digits.py')

CLASSIFIER = """
default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmoverlock'], allow_failed_imports=False)
data_preprocessor = dict(mean=[127.0] * 3, std=[127.0] * 3)
init = dict(type='Pretrained', checkpoint='https://nowhere.invalid/weights.pth')
model = dict(
    type='ImageClassifier',
    backbone=dict(type='OverLoCK', arch='{arch}', init_cfg=init),
    head=dict(type='OverLoCKHead', arch='{arch}', num_classes=1000),
)
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='ResizeEdge', scale=80), dict(type='CenterCrop', crop_size=64),
            dict(type='PackInputs'),
        ]
    )
)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
"""

SEGMENTOR = """
default_scope = 'mmseg'
custom_imports = dict(imports=['mmoverlock'], allow_failed_imports=False)
norm_cfg = dict(type='SyncBN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(
        type='OverLoCK', arch='xxt', out_indices=(0, 1, 2, 3), use_checkpoint=(1, 1, 1, 1)
    ),
    decode_head=dict(
        type='UPerHead', in_channels=[24, 48, 128, 160], in_index=[0, 1, 2, 3], channels=16,
        num_classes=5, norm_cfg=norm_cfg,
    ),
    auxiliary_head=dict(
        type='FCNHead', in_channels=128, in_index=2, channels=16, num_convs=1, num_classes=5,
        norm_cfg=norm_cfg,
    ),
    test_cfg=dict(mode='whole'),
)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=1e-2))
"""


@pytest.fixture(scope='module')
def main(tool):
    return tool('benchmark')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('benchmark')
    for arch in ('xxt', 't'):
        (folder / f'cls_{arch}.py').write_text(CLASSIFIER.replace('{arch}', arch))
    (folder / 'seg.py').write_text(SEGMENTOR)
    (folder / 'no_model.py').write_text('a = 1')
    (folder / 'foreign.py').write_text("model = dict(type='OverLoCK')")
    (folder / 'no_optimizer.py').write_text("model = dict(type='OverLoCK')")
    return folder


@pytest.fixture
def measure(main, folder, capsys, monkeypatch):
    """Runs the tool in the folder; returns the figures and what it printed."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr('os.sched_getaffinity', lambda _: {0}, raising=False)  # as many as threads
    monkeypatch.setenv('MALLOC_MMAP_THRESHOLD_', '4294967296')

    def run(*arguments: str) -> tuple[dict, str]:
        figures = ['--iters', '2', '--warmup', '1', '--json', 'report.json']
        main([*arguments, '--device', 'cpu', *figures])
        return json.loads((folder / 'report.json').read_text()), capsys.readouterr().out

    return run


def check(report: dict, printed: str) -> None:
    """What must hold for every run."""
    parts = report['parts']
    assert sum(part['share'] for part in parts) == pytest.approx(1)
    assert sum(part['parameters'] for part in parts) == report['parameters']
    assert sum(part['multiply_adds'] for part in parts) == report['multiply_adds'] > 0
    assert len(report['step_ms']) == 2
    middle = sum(report['step_ms']) / 2
    assert sum(part['time_ms'] for part in parts) == pytest.approx(middle)
    assert report['images_per_second'] == pytest.approx(1e3 * report['batch_size'] / middle)
    assert report['peak_memory_mb'] > 1
    by_name = {part['name']: part for part in parts}
    for name in ('base_net', 'overview_net', 'focus_net'):
        part = by_name[f'backbone.{name}']
        assert part['multiply_adds'] > 0 and part['parameters'] > 0
        assert 0 <= part['backward_ms'] < part['time_ms']
        assert (part['backward_ms'] > 0) == (report['mode'] == 'training')
        assert re.search(rf'^backbone.{name} .* {100 * part["share"]:.1f}%$', printed, re.M)
    assert all(line.rstrip() == line for line in printed.splitlines())


def names(report: dict) -> set[str]:
    return {part['name'].partition(',')[0].partition('.')[0] for part in report['parts']}


def test_detector(measure):
    report, printed = measure(DETECTOR, '--size', '96', '128')
    check(report, printed)
    assert (report['mode'], report['batch_size'], report['size']) == ('inference', 1, [96, 128])
    assert {'backbone', 'neck', 'rpn_head', 'roi_head'} <= names(report)
    assert re.search(r'^note: the random weights detect \d+ objects', printed, re.M)


def test_detector_training(measure):
    options = ['train_dataloader.batch_size=2', 'model.backbone.drop_path_rate=0.2']
    report, printed = measure(DETECTOR, '--train', '--size', '96', '128', '--cfg-options', *options)
    check(report, printed)
    assert (report['mode'], report['batch_size']) == ('training', 2)
    assert {'backbone', 'neck', 'rpn_head', 'roi_head', 'optimizer'} <= names(report)
    backward = {part['name']: part['backward_ms'] for part in report['parts']}
    assert backward['neck'] > 0 and backward['roi_head.mask_head'] > 0
    assert backward['optimizer'] == 0


def test_the_config_names_the_size(measure):
    assert measure('cls_xxt.py')[0]['size_from'] == "the test pipeline's CenterCrop"
    assert measure(DETECTOR)[0]['size'] == [160, 160]
    report, _ = measure('cls_xxt.py', '--cfg-options', 'test_dataloader=None')
    assert report['size'] == [224, 224]
    assert report['size_from'] == 'usual, the config names none'


def test_classifier(measure):
    report, printed = measure('cls_xxt.py', '--batch-size', '3', '--amp', 'bfloat16')
    check(report, printed)
    assert report['precision'] == 'mixed bfloat16 and float32'
    assert (report['batch_size'], report['size']) == (3, [64, 64])
    check(*measure('cls_xxt.py', '--train'))


def test_segmentor(measure):
    report, printed = measure('seg.py')
    check(report, printed)
    assert (report['size'], report['size_from']) == ([64, 96], 'data_preprocessor.size')
    assert 'decode_head' in names(report) and 'auxiliary_head' not in names(report)
    unused = report['training_only_parameters']
    assert report['slow'] == []

    training, printed = measure('seg.py', '--train', '--batch-size', '2')
    check(training, printed)
    assert 'auxiliary_head' in names(training) and unused > 0
    assert training['training_only_parameters'] == 0
    assert 'slow: gradient checkpointing runs blocks twice' in printed


def test_counts_of_overlock_t(measure):
    """Counted by hand: 5.382 G in the convolutions, 0.261 G in ContMix."""
    report, printed = measure('cls_t.py', '--size', '224', '224')
    assert report['parameters'] == 33_467_040
    assert report['training_only_parameters'] == 2 * 512 + 512 * 1000 + 1000
    assert report['multiply_adds'] == 5_642_758_464
    assert 'parameters     33.47 M, and 0.51 M for training only' in printed
    assert 'multiply-adds  5.64 G in the forward pass of one image (11.29 GFLOPs)' in printed


def test_slow_paths_are_told(measure, monkeypatch):
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    report, printed = measure('cls_xxt.py', '--no-merge')
    assert len(report['slow']) == 2
    assert re.search(
        '^slow: ContMix runs in plain PyTorch: unset MMOVERLOCK_BACKEND', printed, re.M
    )
    assert re.search(
        r'^slow: the large-kernel branches are not merged \(--no-merge\)$', printed, re.M
    )
    merged, _ = measure('cls_xxt.py')
    assert merged['parameters'] < report['parameters']


CASES = [
    (['no.py'], "config 'no.py' does not exist"),
    (['no_model.py'], "config 'no_model.py' has no model"),
    (['foreign.py'], "model.type: 'OverLoCK' is no detector of mmdet, segmentor of mmseg or"),
    (
        ['no_optimizer.py', '--train'],
        "--train needs an optim_wrapper, config 'no_optimizer.py' has none",
    ),
    (['cls_xxt.py', '--size', '0', '64'], "argument --size: '0' is not a positive number"),
    (['cls_xxt.py', '--size', '-1', '64'], 'argument --size: '),
    (['cls_xxt.py', '--size', '16', '64'], 'input of (16, 64) pixels: at least 32×32 are needed'),
    (['cls_xxt.py', '--iters', 'many'], "argument --iters: 'many' is not a positive number"),
    (['cls_xxt.py', '--device', 'abacus'], '--device abacus: allowed are cpu, cuda, cuda:N'),
    (['cls_xxt.py', '--device', 'cuda:99'], '--device cuda:99: this machine has '),
    (['cls_xxt.py', '--device', 'cpu', '--amp', 'float16'], '--amp float16 needs a GPU'),
    (['cls_xxt.py', '--device', 'cpu', '--amp', 'bfloat16', '--train'], 'needs a GPU in training'),
    (['cls_xxt.py', '--amp', 'int8'], "argument --amp: invalid choice: 'int8'"),
    (['cls_xxt.py', '--json', 'no/report.json'], "--json: the folder of 'no/report.json' does not"),
    (
        ['cls_xxt.py', '--train', '--cfg-options', 'optim_wrapper.optimizer.lrr=1'],
        "optim_wrapper: TypeError: AdamW.__init__() got an unexpected keyword argument 'lrr'",
    ),
    (
        ['cls_xxt.py', '--cfg-options', 'model.backbone.type=OverLok'],
        "model.backbone.type: unknown type 'OverLok', did you mean 'OverLoCK'?",
    ),
]


@pytest.mark.parametrize(('arguments', 'message'), CASES, ids=lambda x: str(x)[:40])
def test_bad_input(main, folder, arguments, message, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    (error,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert error.startswith('error: ') and message in error
    assert not torch.is_autocast_enabled('cpu')
