"""Bars below a picture, boxes and masks inside."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmoverlock.visualization.drawing import draw_bars, draw_labels, draw_objects


@pytest.mark.parametrize(('size', 'factor'), [((400, 500), 1), ((8, 8), 45), ((100, 300), 2)])
def test_bars_stand_below_the_picture(size, factor):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    colour = (10, 200, 30)
    drawn = draw_bars(picture, [('all of it', 1.0, colour), ('a name' * 50, 0.0, colour)])
    height, width = factor * size[0], factor * size[1]
    left = (drawn.shape[1] - width) // 2
    inside = drawn[:height, left : left + width]
    assert np.array_equal(inside[::factor, ::factor], picture)
    strip = drawn[height:]
    middle = len(strip) // 2
    assert (strip[:middle] == colour).all(2).sum() > 500
    assert (strip[middle:] == colour).all(2).sum() < 60  # the empty bar's first column


def test_objects_are_drawn_where_they_are():
    grey = np.full((400, 400, 3), 128, np.uint8)
    mask = np.zeros((400, 400), np.uint8, order='F')
    mask[100:200, 100:200] = 1
    boxes = [(100, 100, 200, 200), (350, 0, 399, 60)]
    names = ['first', 'at the edge']
    objects = [dict(label=i, name=names[i], score=0.9, box=boxes[i]) for i in range(2)]
    objects[0]['mask'] = coco_mask.encode(mask)
    drawn = draw_objects(grey, objects, [(255, 0, 0), (0, 0, 255)])
    assert drawn.shape == grey.shape and (grey == 128).all()
    assert tuple(drawn[150, 150]) == (185, 70, 70)  # 45 percent red
    assert tuple(drawn[150, 100]) == (255, 0, 0)  # the box
    assert tuple(drawn[300, 300]) == (128, 128, 128)
    blue = (drawn == (0, 0, 255)).all(2)
    assert blue[:, :340].any()  # the caption was pushed into the picture


def test_labels_colour_their_pixels():
    grey = np.full((400, 400, 3), 128, np.uint8)
    labels = np.full((400, 400), 255)  # no class
    labels[:, :200] = 1
    drawn = draw_labels(grey, labels, [(255, 0, 0), (0, 0, 255)])
    assert (grey == 128).all()
    assert (drawn[10:-10, 10:190] == (51, 51, 204)).all()  # 60 percent blue
    assert (drawn[:, 210:] == 128).all()
    assert not (drawn == (255, 0, 0)).all(2).any()
