"""Every classification config trains and validates through tools/train.py, and carries its recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint

from mmoverlock.engine.hooks.epoch_table import read_epochs
from mmoverlock.utils.datasets import leaf_dataset

from .. import fake_data

ROOT = Path(__file__).parents[2]
LEAVES = [
    path
    for folder in ('overlock', 'volo', 'quickstart')
    for path in sorted((ROOT / 'configs' / folder).glob('*.py'))
    if Config.fromfile(path).get('default_scope') == 'mmpretrain'
]
NAMES = {
    *(f'overlock-{arch}_8xb256_in1k' for arch in ('xt', 't', 's', 'b')),
    *(f'overlock-{arch}_8xb128_in100' for arch in ('xt', 't', 's', 'b')),
    'overlock-fpn-cbam-m_2xb32_in100',
    'overlock-fpn-cbam-l_2xb24_in100',
    'overlock-xt_2xb128_cifar10',
    'overlock-xxt_1xb64_tiny-imagenet-20',
    'overlock-xt_finetune',
    'overlock-xxt_finetune',
    *(f'volo-flat-{pooling}_2xb128_cifar100' for pooling in ('mean', 'cls', 'cli')),
    *(f'volo-pyramid-{kind}_2xb128_cifar100' for kind in ('map', 'token')),
    'volo-d1_8xb128_in1k',
    'overlock-xxt_digits',
    'volo-flat_digits',
}

VOLO_PARAMETERS = {  # stated in configs/volo/README.md
    'volo-flat-mean': 4_565_308,
    'volo-flat-cls': 5_453_692,
    'volo-flat-cli': 5_454_077,
    'volo-pyramid-map': 8_354_816,
    'volo-pyramid-token': 7_912_448,
}


def identity(path: Path) -> str:
    return path.stem


def read(name: str) -> Config:
    folder = 'volo' if name.startswith('volo') else 'overlock'
    return Config.fromfile(ROOT / 'configs' / folder / f'{name}.py')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Folder of small made-up data by kind of data set."""
    root = tmp_path_factory.mktemp('data')
    with pytest.MonkeyPatch.context() as patch:
        yield dict(
            ImageNet=fake_data.imagenet(root / 'imagenet'),
            ImageNet100=fake_data.imagenet100(root / 'imagenet100'),
            TinyImageNet=fake_data.tiny_imagenet(root / 'tiny'),
            CIFAR10=fake_data.cifar(root / 'cifar10', 10, monkeypatch=patch),
            CIFAR100=fake_data.cifar(root / 'cifar100', 100, monkeypatch=patch),
            ClassFolder=fake_data.class_folders(root / 'mine', ['cat', 'dog'], images=5),
            Digits=None,
        )


def test_all_leaves_are_there():
    assert {path.stem for path in LEAVES} == NAMES


@pytest.mark.parametrize('path', LEAVES, ids=identity)
def test_leaves_are_short(path):
    assert len(path.read_text().splitlines()) <= 30


def small_images(cfg: Config) -> list[str]:
    """Options that make images of 224² ones of 64²; VOLO-D1 cannot."""
    if cfg.model.type == 'TimmClassifier':
        return []
    options = []
    for loader in ('train_dataloader', 'val_dataloader'):
        for i, step in enumerate(leaf_dataset(cfg[loader].dataset).pipeline):
            for name in ('scale', 'crop_size'):
                if step.get(name) in (224, (224, 224)):
                    size = 64 if step[name] == 224 else '(64,64)'
                    options.append(f'{loader}.dataset.pipeline.{i}.{name}={size}')
    return options


@pytest.mark.parametrize('path', LEAVES, ids=identity)
def test_trains_and_validates(path, data, tool, tmp_path):
    """Two iterations (nine of CIFAR-100, which is small)."""
    cfg = Config.fromfile(path)
    dataset = leaf_dataset(cfg.train_dataloader.dataset)
    arguments = [str(path), '--work-dir', str(tmp_path), '--seed', '0']  # nothing is measured
    options = ['train_cfg.max_epochs=1', 'optim_wrapper.type=OptimWrapper', 'load_from=None']
    options += [f'default_hooks.checkpoint.{o}' for o in ('save_optimizer=False', 'save_best=None')]
    options += small_images(cfg)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        options += [f'{loader}.{o}=0' for o in ('num_workers', 'persistent_workers')]
        options.append(f'{loader}.batch_size=2')
        if dataset == cfg.train_dataloader.dataset and dataset.type != 'ClassFolder':
            options.append(f'{loader}.dataset.indices=4')
    root = data[dataset.type]
    if dataset.type == 'ClassFolder':
        arguments += ['--data-root', str(root)]
    elif root:
        options.append(f'data_root={root}')
    tool('train')([*arguments, '--cfg-options', *options])
    (row,) = read_epochs(tmp_path / 'epochs.csv')
    assert row['train_loss'] > 0 and row['val_loss'] > 0 and 0 <= row['acc_top1'] <= 100
    assert (tmp_path / 'epoch_1.pth').is_file()
    trained = Config.fromfile(tmp_path / path.name)
    init_default_scope('mmpretrain')
    load_checkpoint(MODELS.build(trained.model), str(tmp_path / 'epoch_1.pth'), strict=True)


def assert_adamw(cfg: Config, lr: float, clip: float) -> None:
    wrapper = cfg.optim_wrapper
    adamw = dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=0.05, fused=True)
    assert wrapper.optimizer == adamw
    assert wrapper.clip_grad == dict(max_norm=clip)
    no_decay = dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0)
    assert {key: wrapper.paramwise_cfg[key] for key in no_decay} == no_decay


@pytest.mark.parametrize('data_set', ['in1k', 'in100'])
@pytest.mark.parametrize('arch', ['xt', 't', 's', 'b'])
def test_imagenet_recipe(arch, data_set):
    """ImageNet-1K's recipe; ImageNet-100 differs in the batch, hence in the rate."""
    images, classes = {'in1k': (256, 1000), 'in100': (128, 100)}[data_set]
    cfg = read(f'overlock-{arch}_8xb{images}_{data_set}')
    assert cfg.model.backbone == dict(
        type='OverLoCK', arch=arch, drop_path_rate=dict(xt=0.1, t=0.15, s=0.4, b=0.5)[arch]
    )
    assert cfg.model.head == dict(
        type='OverLoCKHead',
        arch=arch,
        num_classes=classes,
        aux_weight=0.4,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
    )
    augments = [dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]
    assert cfg.model.train_cfg == dict(augments=augments)  # one of them in every batch

    assert_adamw(cfg, lr=1e-3 * 8 * images / 1024, clip=5.0)
    assert cfg.auto_scale_lr.base_batch_size == 8 * images
    assert cfg.train_dataloader.batch_size == images
    assert cfg.train_cfg.max_epochs == 310
    warmup, cosine = cfg.param_scheduler
    assert (warmup.type, warmup.end) == ('LinearLR', 5)
    assert warmup.start_factor * cfg.optim_wrapper.optimizer.lr == pytest.approx(1e-6)
    assert cosine == dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5, end=300)
    (ema,) = [hook for hook in cfg.custom_hooks if hook.type == 'EMAHook']
    assert ema.momentum == pytest.approx(1 - 0.9999)

    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert (steps['RandomResizedCrop'].scale, steps['RandomResizedCrop'].interpolation) == (
        224,
        'bicubic',
    )
    augment = steps['RandAugment']
    assert (augment.policies, augment.magnitude_level, augment.magnitude_std) == (
        'timm_increasing',
        9,
        0.5,
    )
    assert (steps['RandomErasing'].erase_prob, steps['RandomErasing'].mode) == (0.25, 'rand')
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        resize = loader.dataset.pipeline[1]
        crop = dict(xt=0.925, t=0.95, s=0.95, b=0.975)[arch]
        assert (resize.scale, resize.interpolation) == (int(224 / crop), 'bicubic')


@pytest.mark.parametrize(
    'size, images, clip, warmup', [('m', 32, 0.5, 5), ('l', 24, 0.3, 8)], ids=['m', 'l']
)
def test_workstation_recipe(size, images, clip, warmup):
    cfg = read(f'overlock-fpn-cbam-{size}_2xb{images}_in100')
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert_adamw(cfg, lr=4e-3, clip=clip)
    assert cfg.train_dataloader.batch_size == images
    assert cfg.param_scheduler[0].end == cfg.param_scheduler[1].begin == warmup
    assert cfg.model.head.num_classes == 100
    assert any(cfg.model.backbone.get('use_checkpoint', [0])) == (size == 'l')


def test_tiny_imagenet_recipe():
    cfg = read('overlock-xxt_1xb64_tiny-imagenet-20')
    assert cfg.train_dataloader.batch_size == 64
    assert cfg.train_dataloader.dataset.num_classes == 20
    assert (cfg.model.head.num_classes, cfg.model.head.aux_weight) == (20, 0.4)


@pytest.mark.parametrize('path', [p for p in LEAVES if 'cifar100' in p.name], ids=identity)
def test_volo_recipe(path):
    cfg = Config.fromfile(path)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == 130
    assert cfg.train_dataloader.batch_size == 128
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert [one.type for one in cfg.model.train_cfg.augments] == ['Mixup', 'CutMix']
    assert cfg.model.head.num_classes == 100
    init_default_scope('mmpretrain')
    parameters = sum(p.numel() for p in MODELS.build(cfg.model).parameters())
    assert parameters == VOLO_PARAMETERS[path.stem.partition('_')[0]]
