"""A folder in which a user works: tiny data sets, configs and a checkpoint that fits."""

import contextlib
import functools
import gc
import hashlib
import importlib.util
import json
import os
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import MODELS, DefaultScope
from mmengine.visualization import Visualizer
from PIL import Image

from mmoverlock.datasets import make_digits_scenes

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / 'tools'

ARCH = """dict(
    depth=(1, 1, 1, 1), sub_depth=(1, 1), embed_dim=(8, 16, 32, 32), kernel_size=(5, 5, 5, 5),
    sub_num_heads=(2, 2), projection=16,
)"""

DETECTION = f"""
_base_ = '{ROOT}/configs/quickstart/mask-rcnn_overlock-xxt_fpn_digits.py'
train_cfg = dict(max_iters=2, val_interval=100)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
model = dict(
    backbone=dict(arch={ARCH.replace('dict(', 'dict(_delete_=True,')}),
    neck=dict(in_channels=[8, 16, 40, 40], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=16),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16),
    ),
)
"""

COMMON = """
custom_imports = dict(imports=['mmoverlock'], allow_failed_imports=False)
arch = {arch}
backbone = dict(type='OverLoCK', arch=arch, {outputs})
test_cfg = dict()
test_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), {collate}
    dataset=dict({dataset}),
)
"""

CLASSIFICATION = (
    COMMON.format(
        arch=ARCH,
        outputs='out_indices=None',
        collate="collate_fn=dict(type='default_collate'),",
        dataset="type='CustomDataset', data_root='data/classes', pipeline=["
        "dict(type='LoadImageFromFile'), dict(type='PackInputs')]",
    )
    + """
default_scope = 'mmpretrain'
data_preprocessor = dict(num_classes=2, mean=[127.0] * 3, std=[127.0] * 3)
model = dict(
    type='ImageClassifier', backbone=backbone,
    head=dict(type='OverLoCKHead', arch=arch, num_classes=2),
)
test_evaluator = dict(type='Accuracy', topk=(1, 2))
"""
)

SEGMENTATION = (
    COMMON.format(
        arch=ARCH,
        outputs='out_indices=(0, 1, 2, 3)',
        collate='',
        dataset="type='BaseSegDataset', data_root='data/digits_scenes', seg_map_suffix='.png',"
        "img_suffix='.png', data_prefix=dict(img_path='val', seg_map_path='semantic/val'),"
        "metainfo=dict(classes=tuple('_0123456789'), palette=[(i, i, i) for i in range(11)]),"
        "pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),"
        "dict(type='PackSegInputs')]",
    )
    + """
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder', backbone=backbone, test_cfg=dict(mode='whole'),
    data_preprocessor=dict(type='SegDataPreProcessor', size_divisor=32),
    decode_head=dict(
        type='FCNHead', in_channels=40, in_index=3, channels=8, num_convs=1, num_classes=11
    ),
)
test_evaluator = dict(type='IoUMetric')
"""
)


# Of the number of classes that its base names.
CLASSIFIER = f"""
custom_imports = dict(imports=['mmoverlock'], allow_failed_imports=False)
default_scope = 'mmpretrain'
arch = {ARCH}
model = dict(
    type='ImageClassifier', backbone=dict(type='OverLoCK', arch=arch, out_indices=None),
    head=dict(type='OverLoCKHead', arch=arch, num_classes={{{{_base_.num_classes}}}}),
)
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
val_evaluator = dict(type='Accuracy', topk=(1, 3))
test_evaluator = val_evaluator
"""


@pytest.fixture(scope='session')
def tool():
    """`tool('train')` and others: the main function of tools/train.py, run in this process.

    MMEngine takes the visualizer, the logger, the scope and the message hub that were made last, and
    none is made for a second run of a name in the same second: those of earlier runs are forgotten.
    """

    @functools.cache
    def load(name: str):
        spec = importlib.util.spec_from_file_location(f'tool_{name}', TOOLS / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main

    def fresh(name: str):
        visualizers = Visualizer, *Visualizer.__subclasses__()
        for kind in (*visualizers, MMLogger, DefaultScope, MessageHub):
            kind._instance_dict.clear()
        return load(name)

    return fresh


@pytest.fixture(scope='session')
def home(tmp_path_factory) -> Path:
    """The user's folder; tests leave it as it was."""
    home = tmp_path_factory.mktemp('a user')
    make_digits_scenes(home / 'data/digits_scenes', num_train=4, num_val=2, image_size=64)
    for index, name in enumerate(('dark', 'light')):
        folder = home / 'data/classes' / name
        folder.mkdir(parents=True)
        Image.fromarray(np.full((64, 64, 3), 200 * index, np.uint8)).save(folder / f'{name}.png')
    configs = dict(det=DETECTION, cls=CLASSIFICATION, seg=SEGMENTATION)
    for name, text in configs.items():
        (home / f'{name}.py').write_text(text)
        cfg = Config.fromfile(home / f'{name}.py')
        cfg.dump(home / f'{name}.py')  # without its bases: it loads faster
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            torch.manual_seed(0)
            torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), home / f'{name}.pth')
    gc.freeze()  # data sets collect garbage when they are built, and everything is imported now
    return home


@pytest.fixture
def at_home(home, monkeypatch) -> Path:
    monkeypatch.chdir(home)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    return home


MARKER = 'the_code_ran'
BASE = "_base_ = 'det.py'\n"


class Code:
    """Pickled, it is the call `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture(scope='session')
def bad(home):
    """The wrong files, and the right ones that must survive."""
    weights = torch.load(home / 'det.pth', weights_only=True)['state_dict']
    whole = (home / 'det.pth').read_bytes()
    texts = {
        'empty.pth': '',
        'text.pth': 'this is not a checkpoint\n' * 50,
        'syntax.py': 'a = 1\nmodel = dict(\n',
        'orphan.py': "_base_ = 'nowhere.py'",
        'foreign_base.py': "_base_ = 'nopackage::model.py'",
        'fails.py': 'a = undefined_name',
        'config.txt': 'model = 1',
        'no_model.py': 'a = 1',
        'no_base_batch.py': BASE + 'auto_scale_lr = dict(_delete_=True)',
        'no_masks.py': BASE
        + 'model = dict(roi_head=dict(mask_head=None, mask_roi_extractor=None))',
        'not_coco.json': '{"licenses": []}',
        'no_images.json': json.dumps(
            dict(images=[], annotations=[], categories=[dict(id=i, name=str(i)) for i in range(10)])
        ),
        'full/picture.png': '',
        'old.pkl': 'old',
        'a_file': '',
        'work/iter_9.pth': 'precious',
        'work/last_checkpoint': 'iter_9.pth',
    }
    for name, text in texts.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)
    (home / 'directory.pth').mkdir()
    (home / 'truncated.pth').write_bytes(whole[: len(whole) // 2])
    (home / 'picture.pth').write_bytes((home / 'data/digits_scenes/val/000000.png').read_bytes())
    with zipfile.ZipFile(home / 'archive.pth', 'w') as archive:
        archive.writestr('a.txt', 'a')
    code = dict(state_dict=weights, meta=Code(os.mkdir, MARKER))
    torch.save(code, home / 'code.pth')
    torch.save(code, home / 'old_code.pth', _use_new_zipfile_serialization=False)
    torch.save(dict(epoch=3), home / 'no_tensors.pth')
    torch.save(list(weights.values()), home / 'list.pth')
    torch.save({'conv1.weight': torch.zeros(3), 'fc.bias': torch.zeros(3)}, home / 'foreign.pth')
    shrunk = {name: torch.zeros([n + 1 for n in value.shape]) for name, value in weights.items()}
    torch.save(shrunk, home / 'other_arch.pth')
    partial = {name: value for name, value in weights.items() if 'mask_head' not in name}
    torch.save(partial, home / 'no_mask_head.pth')
    return home


@contextlib.contextmanager
def file_limit(size: int):
    """Files cannot grow beyond so many bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below, with its hash, and every folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else 'folder'
        for path in sorted(folder.rglob('*'))
    }


def check(tool, name, arguments, message, folder, capsys):
    """Run a tool that must end with one line of error, exit code 2, and nothing touched."""
    before = snapshot(folder)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        tool(name)(arguments)
    errors = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert [line for line in errors if line.startswith('error: ')] == errors[-1:]
    assert message in errors[-1]
    assert 'Traceback' not in '\n'.join(errors)
    assert snapshot(folder) == before
