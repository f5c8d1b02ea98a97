"""Whatever is wrong with a config's values ends training with one line, before it starts."""

import pytest

from ..user import ROOT, check

ARCH = 'model.backbone.arch'
DATASET = 'train_dataloader.dataset'

OPTION_CASES = [
    ('model', "'model' is not of the form key=value"),
    ('model..type=a', "'model..type=a' is not of the form key=value"),
    ('a=[1,2', "'a=[1,2' has unbalanced brackets"),
    ('modle.type=A', "--cfg-options modle.type: the config has no 'modle', did you mean 'model'?"),
    ('train_dataloader.dataset.pipeline.9.type=A', '--cfg-options: Index 9 exceeds the length'),
    ('model.neck.in_channels.0=3', 'a single number of a list cannot be set, give the whole list'),
    (f'{ARCH}=huge', 'huge'),
    ('model.backbone.out_indices=[0,7]', 'out_indices'),
    (
        'model.backbone.type=OverLok',
        "model.backbone.type: unknown type 'OverLok', did you mean 'Ov",
    ),
    ('model.neck.in_channels=[8,16,24,40]', 'model.neck.in_channels=[8, 16, 24, 40]: the backbone'),
    ('model.backbone.archh=t', "unexpected keyword argument 'archh'"),
    (
        'model.roi_head.bbox_head.num_classes=3',
        'model.roi_head.bbox_head.num_classes is 3, but train_dataloader.dataset has 10 classes',
    ),
    (f'{DATASET}.type=CocoDatset', "unknown type 'CocoDatset', did you mean 'CocoDataset'?"),
    (f'{DATASET}.pipeline.0.type=LoadImag', "pipeline.0.type: unknown type 'LoadImag'"),
    (f'{DATASET}.data_root=data/no', f"{DATASET}.data_root: 'data/no' does not exist in "),
    (
        f'{DATASET}.data_root=data/no/digits_scenes',
        'make it with: python tools/prepare_data.py digits_scenes',
    ),
    (f'{DATASET}.ann_file=no.json', f'{DATASET}.ann_file: '),
    (f'{DATASET}.data_prefix.img=no', f'{DATASET}.data_prefix.img: '),
    (f'{DATASET}.ann_file=../../not_coco.json', "not_coco.json' has no list of COCO categories"),
    (f'{DATASET}.ann_file=../../no_images.json', f'{DATASET}: no image is left in the data set'),
    (
        f'{DATASET}.metainfo.classes=[cat,dog]',
        f"{DATASET}: 2 of its 2 classes are no categories of 'data/digits_scenes/annotations/"
        "instances_train.json', such as 'cat'; the file has '0', '1', '2', '3', '4', '5', ...",
    ),
    (
        'val_evaluator.type=CocoMetrik',
        "val_evaluator.type: unknown type 'CocoMetrik', did you mean",
    ),
    ('val_evaluator.metric=mAP', 'val_evaluator: '),
    ('val_evaluator.ann_file=no.json', "val_evaluator.ann_file: 'no.json' does not exist"),
    ('default_hooks.timer.type=Tymer', "default_hooks.timer.type: unknown type 'Tymer'"),
    ('train_cfg.type=Loop', "train_cfg.type: unknown type 'Loop'"),
    (
        'train_dataloader.sampler.type=Samplr',
        "train_dataloader.sampler.type: unknown type 'Samplr'",
    ),
    (
        'optim_wrapper.optimizer.type=AdamV',
        "optim_wrapper.optimizer.type: unknown type 'AdamV', did you mean 'Adam",
    ),
    ('optim_wrapper.optimizer.lrr=1', "unexpected keyword argument 'lrr'"),
    ('optim_wrapper.optimizer.lr=-1', 'optim_wrapper.optimizer: Invalid learning rate: -1'),
    ('param_scheduler.0.type=Linear', "param_scheduler.0.type: unknown type 'Linear'"),
]


@pytest.mark.parametrize(('option', 'message'), OPTION_CASES)
def test_option(bad, at_home, tool, capsys, option, message):
    arguments = ['det.py', '--work-dir', 'full', '--cfg-options', option]
    check(tool, 'train', arguments, message, bad, capsys)


def test_a_head_that_would_train_the_overview_alone(at_home, tmp_path, tool, capsys):
    """The first thing one tries in mmpretrain, whose backbones return one map."""
    config = tmp_path / 'overview.py'
    config.write_text(
        f"_base_ = '{ROOT}/configs/quickstart/overlock-xxt_digits.py'\n"
        "model = dict(neck=dict(type='GlobalAveragePooling'), head=dict(_delete_=True,"
        "type='LinearClsHead', num_classes=10, in_channels=128))\n"
    )
    message = 'Focus-Net would not be trained; set model.backbone.out_indices=[3] and model.head.in'
    check(tool, 'train', [str(config)], message, tmp_path, capsys)
