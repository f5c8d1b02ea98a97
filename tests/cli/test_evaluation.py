"""--eval chooses the metrics of a config's evaluators."""

import json

import numpy as np
import pytest
from mmengine.config import Config

from mmoverlock.cli import evaluation, outputs


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

    def refuse(text):
        raise AssertionError(text)

    text = (tmp_path / 'metrics.json').read_text()
    written = json.loads(text, parse_constant=refuse)['metrics']
    assert written == {'coco/bbox_mAP': 0.5, 'coco/cat_precision': None, 'aAcc': 0.25}
