"""tools/train.py --data-root for detectors and segmentors: what becomes of every config."""

from __future__ import annotations

from pathlib import Path

import mmdet
import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, MODELS, init_default_scope

from mmoverlock.cli.config import load_config
from mmoverlock.cli.finetune import common, use_data_root
from mmoverlock.cli.finetune.detector import BOX_CONFIG
from mmoverlock.datasets import make_digits_scenes
from mmoverlock.datasets.digits_scenes_layouts import LAYOUTS
from mmoverlock.engine.checkpoints import fit_state_dict
from mmoverlock.utils.datasets import leaf_configs, leaf_dataset

from ..configs.leaves import CONFIGS, LEAVES, identity, read, shallow
from ..testing import on_meta
from ..user import ROOT

DETECTORS = [path for path in LEAVES if read(path).default_scope == 'mmdet']
SEGMENTORS = [path for path in LEAVES if read(path).default_scope == 'mmseg']
FINETUNE = [path for path in DETECTORS + SEGMENTORS if path.stem.endswith('finetune')]
WEIGHTS = {
    Path(entry['Weights']).name
    for path in CONFIGS.glob('*/metafile.yml')
    for entry in yaml.safe_load(path.read_text())['Models']
    if 'Weights' in entry
}
CLASSES = tuple('0123456789')
LABELS = ('background', *CLASSES)


@pytest.fixture(scope='module')
def folders(tmp_path_factory) -> Path:
    """A user's data in every layout, each in a folder of its name."""
    home = tmp_path_factory.mktemp('a user of data')
    for layout in LAYOUTS:
        make_digits_scenes(home / layout, num_train=4, num_val=2, image_size=64, layout=layout)
    return home


def library_config(name: str) -> Config:
    """A config of mmdet's own."""
    return Config.fromfile(Path(mmdet.__file__).parent / '.mim/configs' / name)


def with_masks(cfg: Config) -> bool:
    return bool(cfg.model.get('roi_head', {}).get('mask_head'))


def loaders(cfg: Config) -> list:
    return [cfg[f'{split}_dataloader'] for split in ('train', 'val', 'test')]


def build(cfg: Config):
    cfg.model.backbone.update(init_cfg=None, arch=shallow(cfg.model.backbone.arch))
    init_default_scope(cfg.default_scope)
    with on_meta():
        return MODELS.build(dict(cfg.model, data_preprocessor=cfg.get('data_preprocessor')))


@pytest.mark.parametrize('path', DETECTORS, ids=identity)
def test_detectors(path, folders, tmp_path):
    cfg, before = read(path), read(path)
    cfg.work_dir = str(tmp_path)
    use_data_root(cfg, str(folders / 'coco'))
    model = build(cfg)
    heads = {
        name: module.num_classes
        for name, module in model.named_modules()
        if getattr(module, 'num_classes', None) and name != 'rpn_head'
    }  # fmt: skip
    assert heads and {*heads.values()} == {10}
    assert cfg.model.get('rpn_head') == before.model.get('rpn_head')
    metrics = ['bbox', 'segm'] if with_masks(cfg) else ['bbox']
    for loader, old in zip(loaders(cfg), loaders(before), strict=True):
        dataset = leaf_dataset(loader.dataset)
        assert dataset.pipeline == leaf_dataset(old.dataset).pipeline
        built = DATASETS.build(loader.dataset)
        assert built.metainfo['classes'] == CLASSES and len(built.metainfo['palette']) == 10
        assert len(built) == (2 if old is not before.train_dataloader else 4)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        metric = METRICS.build(evaluator)
        assert metric.metrics == metrics and metric.classwise
    assert cfg.default_hooks.checkpoint.save_best == f'coco/{metrics[-1]}_mAP'
    check_run(cfg, before)


@pytest.mark.parametrize('path', SEGMENTORS, ids=identity)
def test_segmentors(path, folders, tmp_path):
    cfg, before = read(path), read(path)
    cfg.work_dir = str(tmp_path)
    use_data_root(cfg, str(folders / 'label_images'))
    model = build(cfg)
    assert model.decode_head.num_classes == model.decode_head.out_channels == 11
    if model.with_auxiliary_head:
        assert model.auxiliary_head.num_classes == 11
    for loader in loaders(cfg):
        for step in leaf_dataset(loader.dataset).pipeline:
            assert not step.get('reduce_zero_label')
        built = DATASETS.build(loader.dataset)
        assert built.metainfo['classes'] == LABELS
        sample = built[0]['data_samples'].gt_sem_seg.data
        assert {*sample.unique().tolist()} <= {*range(11), 255} and (sample == 0).any()
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert METRICS.build(evaluator).metrics == ['mIoU']
    assert cfg.default_hooks.checkpoint.save_best == 'mIoU'
    check_run(cfg, before)


def check_run(cfg: Config, before: Config) -> None:
    """The recipe stays; its rate is scaled; the last and the best checkpoint, and curves."""
    assert cfg.optim_wrapper == before.optim_wrapper and cfg.train_cfg == before.train_cfg
    assert cfg.auto_scale_lr.enable and cfg.auto_scale_lr.base_batch_size
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.rule, checkpoint.max_keep_ckpts) == ('greater', 1)
    assert checkpoint.interval > 0  # else nothing to resume from
    assert [hook.type for hook in cfg.custom_hooks].count('DrawCurves') == 1
    assert all(hook in cfg.custom_hooks for hook in before.custom_hooks)
    again = Config.fromstring(cfg.pretty_text, '.py')
    assert again.to_dict() == cfg.to_dict()


def test_wrapped_data_sets(folders, tmp_path):
    """Wrappers stay; of data sets that are joined the first does."""
    cfg = read(CONFIGS / 'maskrcnn_overlock/mask_rcnn_overlock_xxt_finetune.py')
    cfg.work_dir, loader = str(tmp_path), cfg.train_dataloader
    one = loader.dataset
    joined = dict(type='ConcatDataset', datasets=[one, dict(one, ann_file='another.json')])
    wrapped = dict(type='RepeatDataset', times=3, dataset=joined)
    steps = [dict(type='RandomFlip', prob=0.1)]
    loader.dataset = dict(type='MultiImageMixDataset', dataset=wrapped, pipeline=steps)
    use_data_root(cfg, str(folders / 'coco'))
    ((leaf, key),) = leaf_configs(loader.dataset)
    assert key == '.dataset.dataset.datasets.0' and leaf.pipeline == one.pipeline
    assert loader.dataset.pipeline == steps
    init_default_scope('mmdet')
    assert len(DATASETS.build(loader.dataset)) == 12


@pytest.mark.parametrize('layout', [name for name in LAYOUTS if name not in ('yolo', 'voc')])
def test_masks_of_every_layout(layout, folders, tmp_path):
    """Whatever has masks trains a segmentor; whatever has objects a detector."""
    objects = layout not in ('label_images', 'masks')
    names = ['upernet_overlock/upernet_overlock-xxt_finetune.py']
    names += ['maskrcnn_overlock/mask_rcnn_overlock_xxt_finetune.py'] * objects
    for name in names:
        cfg = read(CONFIGS / name)
        cfg.work_dir = str(tmp_path)
        use_data_root(cfg, str(folders / layout))
        init_default_scope(cfg.default_scope)
        built = DATASETS.build(cfg.train_dataloader.dataset)
        classes = built.metainfo['classes']
        assert {*classes} >= {*CLASSES} or layout == 'masks' and len(classes) == 2
        assert 'data_samples' in built[0]


@pytest.mark.parametrize('layout', ['yolo', 'voc'])
def test_boxes_alone(layout, folders, tmp_path):
    """A config of masks names one of boxes, which trains on them."""
    cfg = read(CONFIGS / 'maskrcnn_overlock/mask_rcnn_overlock_t_finetune.py')
    cfg.work_dir = str(tmp_path / 'not made')
    with pytest.raises(ValueError, match=f'not every object .* has one; .* is {BOX_CONFIG}'):
        use_data_root(cfg, str(folders / layout))
    assert not Path(cfg.work_dir).exists()
    cfg = read(ROOT / BOX_CONFIG)
    cfg.work_dir = str(tmp_path)
    use_data_root(cfg, str(folders / layout))
    assert cfg.val_evaluator.metric == ['bbox']


def test_a_test_split_is_tested_on(folders, tmp_path):
    cfg = read(CONFIGS / 'maskrcnn_overlock/mask_rcnn_overlock_xxt_finetune.py')
    cfg.work_dir = str(tmp_path / 'work')
    data = tmp_path / 'data'
    (data / 'annotations').mkdir(parents=True)
    for split in ('train', 'val', 'test'):
        source = folders / 'coco' / ('train' if split == 'train' else 'val')
        (data / split).symlink_to(source)
        file = f'annotations/instances_{split}.json'
        text = (folders / f'coco/annotations/instances_{source.name}.json').read_text()
        (data / file).write_text(text)
    use_data_root(cfg, str(data))
    files = [leaf_dataset(loader.dataset).ann_file for loader in loaders(cfg)]
    files += [cfg.val_evaluator.ann_file, cfg.test_evaluator.ann_file]
    names = [Path(file).stem.removeprefix('instances_') for file in files]
    assert names == ['train', 'val', 'test', 'val', 'test']


@pytest.mark.parametrize('path', FINETUNE, ids=identity)
def test_published_weights_start_a_finetune_config(path, folders, tmp_path):
    """Of the file's tensors all of the same shape are taken; the last layers' are of other classes."""
    cfg = read(path)
    cfg.work_dir = str(tmp_path)
    published = read(path)
    if cfg.default_scope == 'mmdet':  # Mask R-CNN's, for Faster R-CNN too
        recipe = path.name.replace('faster-rcnn_overlock-', 'mask_rcnn_overlock_')
        published = read(CONFIGS / 'maskrcnn_overlock' / recipe)
    weights = build(published).state_dict()
    use_data_root(cfg, str(folders / ('coco' if cfg.default_scope == 'mmdet' else 'label_images')))
    cfg.model.backbone.arch = published.model.backbone.arch
    fits, report = fit_state_dict(build(cfg), weights)
    layers = {text.split()[0].rsplit('.', 1)[0].rpartition('.')[2] for text in report.mismatched}
    if cfg.default_scope == 'mmseg':
        assert layers == {'conv_seg'}
    else:  # of class-agnostic heads, the classes' layer alone
        assert layers <= {'fc_cls', 'fc_reg', 'conv_logits'} and 'fc_cls' in layers
    assert {name.rsplit('.', 1)[0].rpartition('.')[2] for name in report.missing} == layers
    others = [name for name in report.unexpected if name not in report.missing]
    assert all(name.startswith('roi_head.mask_head.') for name in others)
    assert bool(others) == path.stem.startswith('faster-rcnn')
    name = cfg.load_from
    assert name is None if 'xxt' in path.stem else Path(name).name in WEIGHTS


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_classes=3), "--num-classes is 3, but '.*' has 1[01] classes: '"),
        (dict(data_format='voc'), 'Pascal VOC|voc'),
    ],
)
@pytest.mark.parametrize('task', ['maskrcnn_overlock', 'upernet_overlock'])
def test_mistakes(task, options, message, folders, tmp_path):
    cfg = read(sorted((CONFIGS / task).glob('*xxt_finetune.py'))[0])
    cfg.work_dir = str(tmp_path / 'not made')
    layout = 'coco' if task == 'maskrcnn_overlock' else 'label_images'
    with pytest.raises(ValueError, match=message):
        use_data_root(cfg, str(folders / layout), **options)


@pytest.mark.parametrize(
    ('work_dir', 'layout'), [('', 'data'), ('.', 'data/mine'), ('data/run', 'data')]
)
def test_nothing_is_written_among_the_data(work_dir, layout, folders, tmp_path):
    (tmp_path / layout).mkdir(parents=True)
    for path in (folders / 'coco').iterdir():
        (tmp_path / layout / path.name).symlink_to(path)
    cfg = read(CONFIGS / 'maskrcnn_overlock/mask_rcnn_overlock_xxt_finetune.py')
    cfg.work_dir = str(tmp_path / work_dir)
    with pytest.raises(ValueError, match='among the files of .*: choose another --work-dir'):
        use_data_root(cfg, str(tmp_path / layout))
    cfg.work_dir = str(tmp_path / layout / 'work_dirs/run')
    use_data_root(cfg, str(tmp_path / layout))


@pytest.mark.parametrize('task', ['maskrcnn', 'upernet'])
def test_options_of_the_command_hold(task, folders, tmp_path, monkeypatch):
    options = {
        'train_dataloader.dataset.pipeline.3.prob': 0.25,
        'train_dataloader.batch_size': 3,
        'default_hooks.checkpoint.max_keep_ckpts': 5,
        'auto_scale_lr.enable': False,
    }
    lines = []
    monkeypatch.setattr(common, 'print_log', lambda line, **options: lines.append(line))
    (path,) = (CONFIGS / f'{task}_overlock').glob('*xxt_finetune.py')
    cfg = load_config(str(path), options, str(tmp_path))
    use_data_root(cfg, str(folders / 'coco'), options=options)
    loader, checkpoint = cfg.train_dataloader, cfg.default_hooks.checkpoint
    assert leaf_dataset(loader.dataset).pipeline[3].prob == 0.25 and loader.batch_size == 3
    assert checkpoint.max_keep_ckpts == 5 and checkpoint.save_best.endswith(('segm_mAP', 'mIoU'))
    assert not cfg.auto_scale_lr.enable and 'for the batch of the config' in lines[0]


def test_class_weights(folders, tmp_path, monkeypatch):
    cfg = read(CONFIGS / 'upernet_overlock/upernet_overlock-xxt_finetune.py')
    cfg.work_dir = str(tmp_path)
    mine = [0.1] + 10 * [1.0]
    cfg.model.decode_head.loss_decode.class_weight = mine
    use_data_root(cfg, str(folders / 'label_images'))
    assert cfg.model.decode_head.loss_decode.class_weight == mine  # of as many classes: the user's
    told = []
    monkeypatch.setattr(common, 'print_log', lambda line, **options: told.append(line))
    use_data_root(cfg, str(folders / 'masks'))
    assert cfg.model.decode_head.loss_decode.class_weight is None
    note = 'model.decode_head.loss_decode.class_weight is left out: it has 11 weights for 2 classes'
    assert note in told


def test_panoptic_configs_are_refused(folders, tmp_path):
    cfg = library_config('mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py')
    cfg.work_dir = str(tmp_path)
    with pytest.raises(ValueError, match='is panoptic .model.panoptic_head.num_stuff_classes.'):
        use_data_root(cfg, str(folders / 'coco'))


def test_semantic_maps_are_refused(folders, tmp_path):
    cfg = library_config('htc/htc_r50_fpn_1x_coco.py')
    cfg.work_dir = str(tmp_path)
    with pytest.raises(ValueError, match='semantic maps, too .model.roi_head.semantic_head.'):
        use_data_root(cfg, str(folders / 'coco'))


def test_instance_masks_by_queries(folders, tmp_path):
    """mmdet's Mask2Former: classes of things, a weight for "no object"."""
    cfg = library_config('mask2former/mask2former_r50_8xb2-lsj-50e_coco.py')
    cfg.work_dir = str(tmp_path)
    use_data_root(cfg, str(folders / 'coco'))
    head, fusion = cfg.model.panoptic_head, cfg.model.panoptic_fusion_head
    assert head.num_things_classes == fusion.num_things_classes == 10
    assert head.num_stuff_classes == fusion.num_stuff_classes == 0
    assert head.loss_cls.class_weight == [1.0] * 10 + [0.1]
    assert cfg.val_evaluator.metric == ['bbox', 'segm']
