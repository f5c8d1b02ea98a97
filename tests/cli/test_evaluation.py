"""--eval chooses the metrics of a config's evaluators."""

import json

import numpy as np
import pytest
from mmengine.config import Config

from mmoverlock.cli import evaluation, outputs

from ..user import file_limit


def strict_json(path):
    """What any reader of JSON makes of the file: Python's own also takes NaN."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(path.read_text(), parse_constant=refuse)


def test_metrics_are_spread_over_the_evaluators():
    cfg = Config(
        dict(
            test_evaluator=[
                dict(type='mmdet.CocoMetric', metric='proposal'),
                dict(type='IoUMetric'),
                dict(type='Accuracy', topk=(1,)),
            ]
        )
    )
    evaluation.set_metrics(cfg, ['mDice', 'bbox', 'mIoU'])
    assert cfg.test_evaluator == [
        dict(type='mmdet.CocoMetric', metric=['bbox']),
        dict(type='IoUMetric', iou_metrics=['mDice', 'mIoU']),
    ]


@pytest.mark.parametrize(
    ('given', 'classes', 'topk'),
    [({}, 10, (1, 5)), ({}, 4, (1,)), (dict(topk=1), 10, (1, 5)), (dict(topk=(1, 3)), 4, (1, 3))],
)
def test_accuracy_is_of_top1_and_top5(given, classes, topk):
    evaluators = [dict(type='Accuracy', **given), dict(type='ValLoss')]
    cfg = Config(dict(model=dict(head=dict(num_classes=classes)), test_evaluator=evaluators))
    evaluation.set_metrics(cfg, ['accuracy'])
    assert cfg.test_evaluator == [dict(type='Accuracy', topk=topk)]


def coco_config(*steps: dict) -> Config:
    dataset = dict(pipeline=[dict(type='LoadImageFromFile'), *steps, dict(type='PackDetInputs')])
    evaluator = dict(type='CocoMetric', metric=['bbox', 'segm'])
    return Config(dict(test_evaluator=evaluator, test_dataloader=dict(dataset=dataset)))


VOC = dict(type='mmdet.VOCMetric', eval_mode='area', metric=['mAP'])


@pytest.mark.parametrize(
    ('names', 'evaluators'),
    [
        (['mAP'], [VOC]),
        (['mAP', 'segm'], [dict(type='CocoMetric', metric=['segm']), VOC]),
    ],
)
def test_coco_data_has_a_voc_map(names, evaluators):
    cfg = coco_config(dict(type='mmdet.LoadAnnotations', with_bbox=True))
    evaluation.set_metrics(cfg, names)
    assert cfg.test_evaluator == evaluators


def test_voc_map_of_a_voc_config_is_its_own():
    cfg = Config(dict(test_evaluator=dict(type='VOCMetric', metric='mAP', eval_mode='11points')))
    evaluation.set_metrics(cfg, ['mAP'])
    assert cfg.test_evaluator == [dict(type='VOCMetric', metric=['mAP'], eval_mode='11points')]


def test_voc_map_needs_boxes():
    with pytest.raises(ValueError, match='--eval mAP needs boxes in the test pipeline'):
        evaluation.set_metrics(coco_config(), ['mAP'])
    with pytest.raises(ValueError, match="--eval: 'IoUMetric' cannot evaluate 'mAP'"):
        evaluation.set_metrics(Config(dict(test_evaluator=dict(type='IoUMetric'))), ['mAP'])


PACK = dict(type='PackInputs', meta_keys=('img_path', 'flip'))


@pytest.fixture
def cfg() -> Config:
    dataset = dict(type='ConcatDataset', datasets=[dict(pipeline=[dict(type='Load'), PACK])] * 2)
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(type='ImageClassifier'),
            test_dataloader=dict(dataset=dataset),
        )
    )


def test_tta_mirrors_by_default(cfg):
    evaluation.set_tta(cfg)
    assert cfg.model == dict(type='AverageClsScoreTTA', module=dict(type='ImageClassifier'))
    flips = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
    pack = dict(type='PackInputs', meta_keys=('img_path', 'flip', 'flip_direction'))
    for dataset in cfg.test_dataloader.dataset.datasets:
        load, augment = dataset.pipeline
        assert load == dict(type='Load')
        assert augment == dict(type='TestTimeAug', transforms=[flips, [pack]])


def test_tta_does_what_the_config_says(cfg):
    cfg.tta_model = dict(type='Mine', weight=2)
    cfg.tta_pipeline = [dict(type='TestTimeAug', transforms=[])]
    evaluation.set_tta(cfg)
    assert cfg.model == dict(type='Mine', weight=2, module=dict(type='ImageClassifier'))
    for dataset in cfg.test_dataloader.dataset.datasets:
        assert dataset.pipeline == cfg.tta_pipeline


def test_tta_leaves_out_the_mask_head(cfg):
    cfg.default_scope = 'mmdet'
    cfg.model = dict(roi_head=dict(bbox_head=1, mask_head=dict(a=1), mask_roi_extractor=dict(b=1)))
    evaluation.set_tta(cfg)
    assert cfg.model.type == 'DetTTAModel'
    assert cfg.model.module.roi_head == dict(bbox_head=1, mask_head=None, mask_roi_extractor=None)


def test_tta_of_another_library_needs_a_model(cfg):
    cfg.default_scope = 'mmother'
    with pytest.raises(ValueError, match=r'--tta: config .* has no tta_model'):
        evaluation.set_tta(cfg)


def test_metrics_are_json(tmp_path):
    """A class without objects has no AP."""
    found = {'coco/bbox_mAP': 0.5, 'coco/cat_precision': float('nan'), 'aAcc': np.float32(0.25)}
    cfg = Config(dict(load_from='a.pth'))
    outputs.write_metrics(cfg, found, [], str(tmp_path))

    written = strict_json(tmp_path / 'metrics.json')['metrics']
    assert written == {'coco/bbox_mAP': 0.5, 'coco/cat_precision': None, 'aAcc': 0.25}


def test_metrics_that_do_not_fit_leave_the_old_ones(tmp_path):
    (tmp_path / 'metrics.json').write_text('old')
    cfg = Config(dict(load_from='a.pth'))
    with file_limit(50), pytest.raises(OSError, match="metrics.json' cannot be written"):
        outputs.write_metrics(cfg, dict(acc=1.0), [], str(tmp_path))
    assert (tmp_path / 'metrics.json').read_text() == 'old'


def test_where_there_is_nothing_to_find_metrics_are_null(tmp_path):
    found = {
        'coco/bbox_mAP_s': -1.0,
        'coco/segm_mAP': np.float64(-1),
        'AR_m@1000': -1.0,
        'mine/change': -1.0,
        'val/cross_entropy': float('inf'),
        'classwise': [np.float32('nan'), np.float32(50)],
        'deep': dict(a=np.array([1, 2]), b=(float('-inf'), 'text')),
    }
    classes = [{'class': 'cat', 'IoU': float('nan')}]
    outputs.write_metrics(Config(dict(load_from='a.pth')), found, classes, str(tmp_path))
    written = strict_json(tmp_path / 'metrics.json')
    assert written['classes'] == [{'class': 'cat', 'IoU': None}]
    assert written['metrics'] == {
        **dict.fromkeys(['coco/bbox_mAP_s', 'coco/segm_mAP', 'AR_m@1000', 'val/cross_entropy']),
        'mine/change': -1,
        'classwise': [None, 50],
        'deep': dict(a=[1, 2], b=[None, 'text']),
    }


NOTHING = ['model.test_cfg.rcnn.score_thr=1.1']


@pytest.mark.parametrize('classwise', [False, True])
def test_a_detector_that_finds_nothing_has_an_ap_of_0(at_home, tool, tmp_path, classwise, capfd):
    arguments = ['det.py', 'det.pth', '--work-dir', str(tmp_path), '--eval', 'bbox', 'segm']
    arguments += ['--classwise'] * classwise
    tool('test')([*arguments, '--cfg-options', *NOTHING])
    written = strict_json(tmp_path / 'metrics.json')
    assert written['metrics']['coco/bbox_mAP'] == written['metrics']['coco/segm_mAP'] == 0
    output = ''.join(capfd.readouterr())
    assert 'no detections in 2 images with' in output and 'is empty' not in output
    if classwise:
        present = [row for row in written['classes'] if row['bbox_AP'] is not None]
        assert 0 < len(present) < 10 and all(row['segm_AP'] == 0 for row in present)


def test_the_best_of_a_detector_that_finds_nothing_is_saved(at_home, tool, tmp_path, capfd):
    options = [*NOTHING, 'train_cfg.max_iters=1', 'train_cfg.val_interval=1']
    options += ['default_hooks.checkpoint.save_best=coco/bbox_mAP']
    tool('train')(['det.py', '--work-dir', str(tmp_path), '--cfg-options', *options])
    assert (tmp_path / 'best_coco_bbox_mAP_iter_1.pth').is_file()
    output = ''.join(capfd.readouterr())
    assert 'no detections in 2 images' in output and 'is an empty dict' not in output


def test_voc_of_a_detector_that_finds_nothing_is_0(at_home, tool, tmp_path):
    config = tmp_path / 'voc.py'
    config.write_text(
        f"_base_ = '{at_home}/det.py'\n"
        "_base_.test_dataloader.dataset.pipeline.insert(1, dict(type='LoadAnnotations', with_bbox=True))\n"
    )
    arguments = [
        str(config),
        'det.pth',
        '--work-dir',
        str(tmp_path),
        '--eval',
        'mAP',
        '--classwise',
    ]
    tool('test')([*arguments, '--cfg-options', *NOTHING])
    written = strict_json(tmp_path / 'metrics.json')
    assert written['metrics']['pascal_voc/mAP'] == 0
    assert {row['AP50'] for row in written['classes']} == {0, None}
