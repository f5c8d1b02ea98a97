"""Digits scenes: the same bytes for the same settings, annotations that hold, nothing destroyed."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.datasets import load_digits

from mmoverlock.datasets import DIGITS_SCENES_METAINFO, make_digits_scenes
from mmoverlock.datasets.compose import MIN_VISIBLE, compose_scene

SMALL = dict(num_train=6, num_val=4, image_size=96)


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return make_digits_scenes(tmp_path_factory.mktemp('data') / 'deep' / 'digits', **SMALL)


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What MMEngine's current logger is told during the test."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.INFO)  # an earlier test may have left another
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def annotations(root: Path, split: str) -> dict:
    return json.loads((root / 'annotations' / f'instances_{split}.json').read_text())


def test_layout(root):
    names = {
        f'{folder}{split}/{i:06d}.png'
        for folder in ('', 'semantic/')
        for split, n in (('train', 6), ('val', 4))
        for i in range(n)
    }
    names |= {'annotations/instances_train.json', 'annotations/instances_val.json', 'meta.json'}
    assert set(files(root)) == names
    assert cv2.imread(str(root / 'train/000000.png')).shape == (96, 96, 3)
    assert list(root.parent.iterdir()) == [root]  # no scratch folder left
    meta = json.loads((root / 'meta.json').read_text())
    assert meta['seed'] == 0 and meta['image_size'] == 96
    for split in ('train', 'val'):
        assert meta['instances'][split] == len(annotations(root, split)['annotations'])


def test_same_seed_same_bytes(root, tmp_path):
    assert files(make_digits_scenes(tmp_path / 'again', **SMALL)) == files(root)


def test_other_seed_other_pictures(root, tmp_path):
    other = files(make_digits_scenes(tmp_path / 'other', **SMALL, seed=1))
    same = [name for name, content in files(root).items() if other[name] == content]
    assert not same


def test_pictures_do_not_depend_on_their_number(root, tmp_path):
    fewer = files(make_digits_scenes(tmp_path / 'fewer', num_train=2, num_val=1, image_size=96))
    pictures = {name: content for name, content in fewer.items() if name.endswith('.png')}
    assert pictures.items() <= files(root).items()


def test_train_and_val_use_different_scans(tmp_path):
    root = make_digits_scenes(tmp_path / 'many', num_train=60, num_val=30, image_size=64)
    scans = {
        split: {a['scan'] for a in annotations(root, split)['annotations']}
        for split in ('train', 'val')
    }
    assert len(scans['train']) > 60 and len(scans['val']) > 30
    assert scans['train'].isdisjoint(scans['val'])


@pytest.mark.parametrize('split', ['train', 'val'])
def test_annotations_agree_with_masks_and_scans(root, split):
    content = annotations(root, split)
    assert [c['name'] for c in content['categories']] == list(DIGITS_SCENES_METAINFO['classes'])
    assert 'CC BY 4.0' in content['licenses'][0]['name']
    targets = load_digits().target
    for a in content['annotations']:
        mask = coco_mask.decode(a['segmentation'])
        ys, xs = np.nonzero(mask)
        x, y = xs.min(), ys.min()
        assert a['bbox'] == [x, y, xs.max() + 1 - x, ys.max() + 1 - y]
        assert a['area'] == mask.sum()
        assert a['category_id'] == targets[a['scan']] + 1
    assert {a['image_id'] for a in content['annotations']} == {i['id'] for i in content['images']}


@pytest.mark.parametrize('split', ['train', 'val'])
def test_semantic_map_is_the_union_of_the_visible_masks(root, split):
    coco = COCO(root / 'annotations' / f'instances_{split}.json')
    for image in coco.loadImgs(coco.getImgIds()):
        masks = [
            (a['category_id'], coco.annToMask(a))
            for a in coco.loadAnns(coco.getAnnIds(image['id']))
        ]
        expected = np.zeros((image['height'], image['width']), np.uint8)
        for category, mask in masks:
            expected += category * mask  # overlapping masks would give a wrong sum
        semantic = cv2.imread(str(root / 'semantic' / split / image['file_name']), -1)
        assert semantic.dtype == np.uint8
        np.testing.assert_array_equal(semantic, expected)


def test_what_lies_on_top_is_cut_from_the_mask():
    data = load_digits()
    scans, chosen = data.images.astype(np.float32) / 16, np.arange(len(data.target))
    scenes = [
        compose_scene(np.random.default_rng(i), 96, scans, data.target, chosen)[1]
        for i in range(20)
    ]
    digits = [digit for scene in scenes for digit in scene]
    hidden = [digit for digit in digits if (digit.mask & ~digit.visible).any()]
    assert len(digits) > 40 and len(hidden) > 5
    assert all(digit.visible.sum() >= MIN_VISIBLE * digit.mask.sum() for digit in digits)
    assert not any((digit.visible & ~digit.mask).any() for digit in digits)
    for scene in scenes:
        assert np.sum([digit.visible for digit in scene], axis=0).max() == 1
        for number, digit in enumerate(scene):
            for later in scene[number + 1 :]:
                assert not (digit.visible & later.mask).any()


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_truth_as_prediction_scores_one(root, kind):
    truth = COCO(root / 'annotations' / 'instances_val.json')
    keys = ('image_id', 'category_id', 'bbox', 'segmentation')
    found = [{**{k: a[k] for k in keys}, 'score': 1.0} for a in truth.dataset['annotations']]
    if kind == 'bbox':
        found = [{k: v for k, v in a.items() if k != 'segmentation'} for a in found]
    evaluation = COCOeval(truth, truth.loadRes(found), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_equal_settings_are_reused(root, log):
    before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    assert make_digits_scenes(str(root), **SMALL) == root
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    assert log == [f'digits scenes: reusing {root}']


@pytest.mark.parametrize(
    'settings', [dict(seed=1), dict(num_train=7), dict(num_val=3), dict(image_size=128)]
)
def test_other_settings_are_refused(root, settings):
    before = files(root)
    with pytest.raises(ValueError, match=rf'made with {next(iter(settings))}=.*remove') as error:
        make_digits_scenes(root, **{**SMALL, **settings})
    assert '\n' not in str(error.value)
    assert files(root) == before


@pytest.mark.parametrize('content', ['{}', '[]', 'not json', '{"name": "digits_scenes"}', None])
def test_a_foreign_folder_is_refused(tmp_path, content):
    (tmp_path / 'thesis.txt').write_text('years of work')
    if content is not None:
        (tmp_path / 'meta.json').write_text(content)
    before = files(tmp_path)
    with pytest.raises(ValueError, match='not a digits scenes folder'):
        make_digits_scenes(tmp_path, **SMALL)
    assert files(tmp_path) == before


def test_a_file_in_the_way_is_refused(tmp_path):
    root = tmp_path / 'data'
    root.write_text('')
    with pytest.raises(ValueError, match='not a digits scenes folder'):
        make_digits_scenes(root, **SMALL)


@pytest.mark.parametrize('lost', ['val/000001.png', 'annotations/instances_train.json'])
def test_a_folder_with_lost_files_is_refused(tmp_path, lost):
    root = make_digits_scenes(tmp_path / 'data', num_train=2, num_val=2, image_size=64)
    (root / lost).unlink()
    with pytest.raises(ValueError, match='has lost some of its'):
        make_digits_scenes(root, num_train=2, num_val=2, image_size=64)


def test_an_empty_folder_is_filled(tmp_path):
    make_digits_scenes(tmp_path, num_train=1, num_val=1, image_size=64)
    assert (tmp_path / 'meta.json').is_file()


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmoverlock.datasets.digits_scenes._save_json', interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_digits_scenes(tmp_path / 'data', num_train=1, num_val=1, image_size=64)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'settings',
    [dict(num_train=0), dict(num_val=-1), dict(image_size=63), dict(seed=-1), dict(seed=0.5)],
)
def test_numbers_out_of_range_are_refused(tmp_path, settings):
    ((name, value),) = settings.items()
    with pytest.raises(ValueError, match=f'{name} must be an integer of at least .*{value}'):
        make_digits_scenes(tmp_path / 'data', **settings)
    assert not list(tmp_path.iterdir())


def test_mmdet_reads_it(root):
    from mmcv.transforms import LoadImageFromFile
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.transforms import LoadAnnotations, RandomFlip, Resize
    from mmdet.structures.mask import BitmapMasks

    dataset = CocoDataset(
        data_root=str(root),
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/', seg='semantic/train/'),
        metainfo=DIGITS_SCENES_METAINFO,
        pipeline=[
            LoadImageFromFile(),
            LoadAnnotations(with_mask=True, with_seg=True),
            Resize(scale=(192, 192), keep_ratio=True),
            RandomFlip(prob=1.0),
        ],
    )
    content = annotations(root, 'train')
    assert len(dataset) == 6
    for number in range(6):
        sample = dataset[number]
        truth = [a for a in content['annotations'] if a['image_id'] == number + 1]
        assert sample['img'].shape == (192, 192, 3)
        assert isinstance(sample['gt_masks'], BitmapMasks)
        assert sample['gt_masks'].masks.shape == (len(truth), 192, 192)
        assert sample['gt_bboxes_labels'].tolist() == [a['category_id'] - 1 for a in truth]
        boxes = sample['gt_masks'].get_bboxes(type(sample['gt_bboxes'])).tensor
        assert (boxes - sample['gt_bboxes'].tensor).abs().max() <= 2
        foreground = sample['gt_masks'].masks.any(axis=0)
        np.testing.assert_array_equal(sample['gt_seg_map'] > 0, foreground)
