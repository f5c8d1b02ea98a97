"""Predictions in the formats of annotations: the libraries' data sets and pycocotools read them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import DumpResults, Evaluator
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmoverlock.engine.predictions import CocoPredictions, LabelMaps, dump_whole

from ..fake_data import picture
from ..user import file_limit

# Ids that are no labels and no indices, and a file that names the classes in another order.
CATEGORIES = [dict(id=7, name='dog'), dict(id=3, name='cat'), dict(id=5, name='left out')]
CAT, DOG = 0, 1  # labels: the order of the data set's names
IMAGES = [dict(id=number, file_name=f'sub/{number}.png', width=40, height=32) for number in (90, 4)]


def evaluate(metric, samples) -> dict:
    evaluator = Evaluator([metric])
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def build(scope: str, **cfg):
    with DefaultScope.overwrite_default_scope(scope):
        return DATASETS.build(cfg)


def mask_of(box: tuple[int, int, int, int]) -> torch.Tensor:
    mask = torch.zeros(32, 40, dtype=torch.bool)
    x1, y1, x2, y2 = box
    mask[y1:y2, x1:x2] = True
    return mask


def detections(image_id, path: Path | str, *objects, masks: bool = True) -> dict:
    """A sample of mmdet, of objects (label, score, box)."""
    labels, scores, boxes = zip(*objects, strict=True)
    found = dict(
        labels=torch.tensor(labels),
        scores=torch.tensor(scores),
        bboxes=torch.tensor(boxes, dtype=torch.float32),
    )
    if masks:
        found['masks'] = torch.stack([mask_of(box) for box in boxes])
    return dict(img_id=image_id, img_path=str(path), ori_shape=(32, 40), pred_instances=found)


@pytest.fixture
def coco(tmp_path) -> dict:
    """The config of a data set in COCO's format."""
    for image in IMAGES:
        picture(tmp_path / image['file_name'], (40, 32))
    one = dict(iscrowd=0, area=80, segmentation=[[2, 3, 12, 3, 12, 11, 2, 11]])
    annotations = [
        dict(id=i, image_id=image['id'], category_id=3, bbox=[2, 3, 10, 8], **one)
        for i, image in enumerate(IMAGES, 1)  # pycocotools cannot match 0
    ]
    data = dict(images=IMAGES, categories=CATEGORIES, annotations=annotations)
    (tmp_path / 'truth.json').write_text(json.dumps(data))
    return dict(
        type='CocoDataset',
        data_root=str(tmp_path),
        ann_file='truth.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('cat', 'dog')),
    )


def samples_of(dataset) -> list[dict]:
    ids = [dataset.get_data_info(i)['img_id'] for i in range(2)]
    sure, unsure, tiny = (
        (CAT, 0.9, (2, 3, 12, 11)),
        (DOG, 0.4, (20, 5, 30, 9)),
        (DOG, 0.9, (1, 1, 1, 1)),
    )
    return [
        detections(ids[0], 'a.png', sure, unsure),
        detections(ids[1], 'b.png', unsure, tiny, sure),
    ]


def test_coco_results(coco, tmp_path):
    dataset = build('mmdet', **coco, test_mode=True)
    assert evaluate(CocoPredictions(dataset, tmp_path / 'out.json'), samples_of(dataset)) == {}
    results = json.loads((tmp_path / 'out.json').read_text())
    assert [(one['image_id'], one['category_id']) for one in results] == [
        *[(90, 3), (90, 7)],
        *[(4, 7), (4, 7), (4, 3)],
    ]
    assert results[0]['bbox'] == [2, 3, 10, 8] and results[0]['score'] == pytest.approx(0.9)
    for kind in ('bbox', 'segm'):
        truth = COCO(str(tmp_path / 'truth.json'))
        evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / 'out.json')), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert evaluation.stats[0] == pytest.approx(1)


def test_coco_pseudo_labels_are_a_data_set_to_train_on(coco, tmp_path):
    dataset = build('mmdet', **coco, test_mode=True)
    file = tmp_path / 'pseudo.json'
    evaluate(CocoPredictions(dataset, None, file, 0.5), samples_of(dataset))
    data = COCO(str(file)).dataset
    assert data['images'] == IMAGES
    assert data['categories'] == [CATEGORIES[1], CATEGORIES[0]]  # in the order of the names
    assert [one['image_id'] for one in data['annotations']] == [90, 4]
    assert [one['id'] for one in data['annotations']] == [1, 2]
    assert [(one['area'], one['iscrowd']) for one in data['annotations']] == [(80, 0)] * 2
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    ]
    coco |= dict(ann_file='pseudo.json', pipeline=steps)
    for sample in build('mmdet', **coco, filter_cfg=dict(filter_empty_gt=True)):
        assert sample['gt_bboxes'].tensor.tolist() == [[2, 3, 12, 11]]
        assert sample['gt_bboxes_labels'].tolist() == [CAT]
        assert np.array_equal(sample['gt_masks'].masks[0], mask_of((2, 3, 12, 11)))
    # Boxes alone have no segmentation.
    boxes = detections(90, 'a.png', (CAT, 0.9, (2, 3, 12, 11)), masks=False)
    evaluate(CocoPredictions(dataset, None, tmp_path / 'boxes.json'), [boxes])
    (one,) = json.loads((tmp_path / 'boxes.json').read_text())['annotations']
    assert one['area'] == 80 and 'segmentation' not in one


def test_pascal_voc_gets_ids(tmp_path):
    names = ['2008_000003', '2007_000001']
    for name in names:
        picture(tmp_path / f'VOC/JPEGImages/{name}.jpg', (40, 32))
        text = '<annotation><size><width>40</width><height>32</height></size></annotation>'
        (tmp_path / 'VOC/Annotations').mkdir(exist_ok=True)
        (tmp_path / f'VOC/Annotations/{name}.xml').write_text(text)
    (tmp_path / 'val.txt').write_text('\n'.join(names))
    dataset = build(
        'mmdet', type='XMLDataset', data_root=str(tmp_path), ann_file='val.txt', test_mode=True,
        data_prefix=dict(sub_data_root='VOC/'), metainfo=dict(classes=('dog', 'cat')),
    )  # fmt: skip
    samples = [
        detections(one['img_id'], one['img_path'], (CAT, 0.9, (2, 3, 12, 11)))
        for one in map(dataset.get_data_info, range(2))
    ]
    results, file = tmp_path / 'out.json', tmp_path / 'pseudo.json'
    evaluate(CocoPredictions(dataset, results, file), samples)
    data = COCO(str(file)).dataset
    assert data['categories'] == [dict(id=1, name='dog'), dict(id=2, name='cat')]
    assert data['images'][0] == dict(
        id=1, file_name='VOC/JPEGImages/2008_000003.jpg', width=40, height=32
    )
    assert len(COCO(str(file)).loadRes(str(results)).anns) == 2
    cfg = dict(type='CocoDataset', data_root=str(tmp_path), ann_file=file.name)
    again = build('mmdet', **cfg, data_prefix=dict(img=''), metainfo=dataset.metainfo)
    (one,) = again.get_data_info(1)['instances']
    assert one['bbox'] == [2, 3, 12, 11] and one['bbox_label'] == CAT
    assert Path(again.get_data_info(1)['img_path']).is_file()


def test_nothing_is_overwritten(coco, tmp_path):
    dataset = build('mmdet', **coco, test_mode=True)
    (tmp_path / 'out.json').write_text('mine')
    with pytest.raises(FileExistsError):
        evaluate(CocoPredictions(dataset, tmp_path / 'out.json'), samples_of(dataset))
    assert (tmp_path / 'out.json').read_text() == 'mine'


@pytest.mark.parametrize('option', ['results', 'annotations'])
def test_what_does_not_fit_on_the_disk_is_named_and_removed(coco, tmp_path, capsys, option):
    dataset, file = build('mmdet', **coco, test_mode=True), tmp_path / 'new.json'
    metric = CocoPredictions(dataset, **{option: file})
    with file_limit(1), pytest.raises(OSError, match=f"^'{file}' cannot be written: File too"):
        evaluate(metric, samples_of(dataset))
    assert not file.exists()


def test_a_pickle_that_does_not_fit_is_named_and_removed(tmp_path, capsys):
    metric = DumpResults(str(tmp_path / 'new.pkl'))
    dump_whole(metric)
    metric.process({}, [dict(a=1)])
    with file_limit(1), pytest.raises(OSError, match="new.pkl' cannot be written: File too large"):
        metric.evaluate(1)
    assert not (tmp_path / 'new.pkl').exists()
    metric.process({}, [dict(a=1)])
    metric.evaluate(1)
    assert (tmp_path / 'new.pkl').exists()


@pytest.mark.parametrize('reduce_zero_label', [False, True])
def test_label_maps_are_a_data_set_to_train_on(tmp_path, reduce_zero_label):
    picture(tmp_path / 'images/town/a_photo.png', (40, 32))
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', reduce_zero_label=reduce_zero_label),
    ]
    cfg = dict(
        type='BaseSegDataset', data_root=str(tmp_path), reduce_zero_label=reduce_zero_label,
        img_suffix='_photo.png', seg_map_suffix='_labels.png', pipeline=steps,
        metainfo=dict(classes=('sky', 'sea', 'land')),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
    )  # fmt: skip
    dataset = build('mmseg', **cfg)
    labels = torch.randint(3, (1, 32, 40), generator=torch.Generator().manual_seed(0))
    sample = dict(img_path=dataset.get_data_info(0)['img_path'], pred_sem_seg=dict(data=labels))
    assert evaluate(LabelMaps(dataset, tmp_path / 'labels'), [sample]) == {}
    stored = np.asarray(Image.open(tmp_path / 'labels/town/a_labels.png'))
    assert np.array_equal(stored, labels[0].numpy() + reduce_zero_label)
    (again,) = build('mmseg', **cfg)
    assert np.array_equal(again['gt_seg_map'], labels[0])


def test_label_maps_of_chosen_classes_have_the_labels_of_all(tmp_path):
    dataset = build(
        'mmseg', type='ADE20KDataset', metainfo=dict(classes=('sky', 'wall')), lazy_init=True,
        data_prefix=dict(img_path=str(tmp_path), seg_map_path=''),
    )  # fmt: skip
    sample = dict(
        img_path=str(tmp_path / 'a.jpg'), pred_sem_seg=dict(data=torch.tensor([[[0, 1]]]))
    )
    evaluate(LabelMaps(dataset, tmp_path / 'new'), [sample])
    every = type(dataset).METAINFO['classes']
    expected = [[every.index('sky') + 1, every.index('wall') + 1]]  # 0 is "other"
    assert np.asarray(Image.open(tmp_path / 'new/a.png')).tolist() == expected


def test_labels_need_a_place_in_eight_bits(tmp_path):
    dataset = build(
        'mmseg', type='BaseSegDataset', lazy_init=True,
        metainfo=dict(classes=[str(i) for i in range(256)]), data_prefix=dict(img_path=''),
    )  # fmt: skip
    with pytest.raises(ValueError, match='labels up to 254, not 255'):
        LabelMaps(dataset, tmp_path)


def test_label_maps_of_listed_pairs(tmp_path):
    """A list of pairs has no folder of label images: the names are those of the images."""
    samples = [
        dict(img_path=str(tmp_path / name), seg_map_path='')
        for name in ('train/a.b.jpg', 'val/b.png', 'val/c.jpg', 'val/C.png', 'train/c.jpg')
    ]
    ann_file = tmp_path / 'val.json'
    ann_file.write_text(json.dumps(dict(metainfo=dict(classes=['sky', 'wall']), data_list=samples)))
    dataset = DATASETS.build(dict(type='LabelledImages', ann_file=str(ann_file)))
    found = torch.tensor([[[0, 1]]])
    predictions = [dict(img_path=one['img_path'], pred_sem_seg=dict(data=found)) for one in samples]
    evaluate(LabelMaps(dataset, tmp_path / 'new'), predictions)
    names = 'train/a.b.png', 'val/b.png', 'val/c.jpg.png', 'val/C.png.png', 'train/c.png'
    assert len([*(tmp_path / 'new').rglob('*.png')]) == len(names)
    for name in names:
        assert np.asarray(Image.open(tmp_path / 'new' / name)).tolist() == [[0, 1]]
