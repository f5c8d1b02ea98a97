"""Digits scenes in other layouts: written whole, reused or refused, outlines that fill exactly."""

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmoverlock.datasets import make_digits_scenes
from mmoverlock.datasets.digits_scenes_layouts import LAYOUTS, join, outlines
from mmoverlock.datasets.prepare import prepare

SMALL = dict(num_train=2, num_val=1, image_size=64)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def filled(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The mask of the polygons, as pycocotools rasterizes them."""
    rles = coco_mask.frPyObjects([polygon.ravel().tolist() for polygon in polygons], *shape)
    return coco_mask.decode(coco_mask.merge(rles)).astype(bool)


@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
def test_outlines_fill_to_the_same_mask(share):
    """Noise has parts that touch at corners, holes, and parts in holes."""
    mask = np.random.default_rng(0).random((23, 31)) < share
    polygons = outlines(mask)
    np.testing.assert_array_equal(filled(polygons, mask.shape), mask)
    np.testing.assert_array_equal(filled([join(polygons)], mask.shape), mask)


def test_outlines_have_no_needless_points():
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    (polygon,) = outlines(mask)
    assert {tuple(point) for point in polygon} == {(2, 1), (7, 1), (7, 4), (2, 4)}
    assert len(polygon) == 4


@pytest.mark.parametrize('layout', LAYOUTS)
def test_written_once_and_reused(layout, tmp_path):
    plain = make_digits_scenes(tmp_path / 'plain', **SMALL)
    root = make_digits_scenes(tmp_path / 'root', **SMALL, layout=layout)
    before = files(root)
    pictures = [
        content for name, content in files(plain).items() if name.startswith(('train', 'val'))
    ]
    assert len(pictures) == 3 and set(pictures) <= {*before.values()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ['plain', 'root']
    times = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    assert make_digits_scenes(root, **SMALL, layout=layout) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == times
    with pytest.raises(ValueError, match=r'was made with seed=0 \(asked: 1\)'):
        make_digits_scenes(root, **SMALL, layout=layout, seed=1)
    with pytest.raises(ValueError, match='is not a digits scenes folder'):
        make_digits_scenes(root, **SMALL)
    with pytest.raises(ValueError, match='is not a digits scenes folder'):
        make_digits_scenes(plain, **SMALL, layout=layout)
    assert files(root) == before
    next(root.rglob('*.png')).unlink()
    with pytest.raises(ValueError, match='has lost some of its files'):
        make_digits_scenes(root, **SMALL, layout=layout)


def test_another_layout_is_refused(tmp_path):
    root = make_digits_scenes(tmp_path / 'root', **SMALL, layout='yolo')
    with pytest.raises(ValueError, match=r'was made with layout=yolo \(asked: voc\)'):
        make_digits_scenes(root, **SMALL, layout='voc')
    with pytest.raises(ValueError, match="layout='xml' is none of 'coco', .*'masks'$"):
        make_digits_scenes(tmp_path / 'new', **SMALL, layout='xml')
    assert not (tmp_path / 'new').exists()


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(scenes, folder):
        folder.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setitem(LAYOUTS, 'voc', fail)
    with pytest.raises(KeyboardInterrupt):
        make_digits_scenes(tmp_path / 'root', **SMALL, layout='voc')
    assert not list(tmp_path.iterdir())


def test_default_folder_is_named_after_the_layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare('digits_scenes', layout='masks', num_train=1, num_val=1)
    assert [path.name for path in Path('data').iterdir()] == ['digits_scenes_masks']
