"""The contact sheet."""

from __future__ import annotations

import numpy as np
import pytest

from mmoverlock.visualization import contact_sheet
from mmoverlock.visualization.contact_sheet import (
    COLUMNS,
    GAP,
    IGNORED,
    LEGEND,
    WIDTH,
    Panel,
    draw_panel,
    draw_sheet,
    legend_of,
)
from mmoverlock.visualization.drawing import TRACK, font_for, usual_colours

ROOM = (200, 100)
COLOURS = usual_colours(3)
GREEN = np.full((50, 50, 3), (0, 200, 0), np.uint8)


@pytest.mark.parametrize('size', [(50, 50), (64, 64), (1000, 20), (3, 400), (2000, 3000)])
def test_a_picture_fills_its_room_in_one_direction(size):
    drawn = draw_panel(Panel(np.full((*size, 3), (0, 200, 0), np.uint8)), ROOM, COLOURS)
    assert drawn.shape == (ROOM[1], ROOM[0], 3)
    green = (drawn == (0, 200, 0)).all(-1)
    assert green.any(0).all() or green.any(1).all()
    ratio = green.any(1).sum() / green.any(0).sum()  # within a pixel
    scale = min(ROOM[1] / size[0], ROOM[0] / size[1])
    assert abs(green.any(0).sum() - scale * size[1]) <= 2, ratio
    assert abs(green.any(1).sum() - scale * size[0]) <= 2, ratio
    assert green.sum() + (drawn == np.array(TRACK)).all(-1).sum() == green.size


def test_objects_move_with_the_picture():
    mask = np.zeros((50, 50), bool)
    mask[10:30, 20:40] = True
    one = dict(label=1, name='x', box=[20, 10, 40, 30], mask=mask)
    plain = draw_panel(Panel(GREEN), ROOM, COLOURS).astype(int)
    drawn = draw_panel(Panel(GREEN, objects=[one]), ROOM, COLOURS)
    rows, columns = np.nonzero((drawn != plain).any(-1))
    # Enlarged twice, 50 pixels from the left; the caption may reach further.
    assert abs(rows.max() - 60) <= 2 and abs(columns.min() - 90) <= 2
    assert abs(columns.max() - 130) <= 2
    assert (drawn[40, 110] != plain[40, 110]).any()  # the mask itself


def test_captions_do_not_cover_each_other():
    objects = [dict(label=i % 3, name=f'class {i}', box=[10, 20, 40, 40]) for i in range(5)]
    first = draw_panel(Panel(GREEN, objects=objects[:1]), ROOM, COLOURS)
    every = draw_panel(Panel(GREEN, objects=objects), ROOM, COLOURS)
    assert np.array_equal(first, every)  # the first of equal boxes is on top, and alone named


def test_label_maps():
    labels = np.zeros((50, 50), int)
    labels[:, 10:30], labels[:, 30:] = 1, IGNORED
    panel = Panel(GREEN, labels=labels)
    drawn = draw_panel(panel, ROOM, [(0, 0, 0), (255, 0, 0)])
    middle = drawn[50, 50:150].astype(int)
    assert (middle[:18] == (0, 200, 0)).all()  # black, as the background usually is: not painted
    assert (middle[22:58, 0] > 100).all() and (middle[22:58, 1] < 150).all()
    stripes = {tuple(pixel) for pixel in middle[62:]}
    assert stripes == {*contact_sheet._STRIPES}


def test_legend_counts_objects_or_pixels():
    labels = np.array([[0, 0, 0, 1], [0, 0, 0, IGNORED]])
    assert legend_of([Panel(GREEN, labels=labels)], ['sky', 'sea']) == [
        (0, 'sky (75.0%)'),
        (1, 'sea (12.5%)'),
        (IGNORED, 'ignored (12.5%)'),
    ]
    panels = [Panel(GREEN, objects=[dict(label=i % 2) for i in range(n)]) for n in (1, 2)]
    assert legend_of(panels, ['cat', 'dog']) == [(0, 'cat (2)'), (1, 'dog (1)')]
    many = [Panel(GREEN, objects=[dict(label=label) for label in range(80)])]
    legend = legend_of(many, [str(label) for label in range(80)])
    assert len(legend) == LEGEND and legend[-1] == (None, f'... and {81 - LEGEND} more classes')


@pytest.mark.parametrize('number', [1, COLUMNS, COLUMNS + 1])
def test_sheet_has_a_place_for_each_panel(number):
    names = [f'a long name of class {label}' for label in range(80)]
    objects = [dict(label=label, name=names[label], box=[0, 0, 50, 50]) for label in range(80)]
    panels = [Panel(GREEN, f'{index}.jpg', 'cat', objects[index:]) for index in range(number)]
    sheet = draw_sheet(panels, names, usual_colours(80))
    assert sheet.dtype == np.uint8 and sheet.shape[1] == min(number, COLUMNS) * (WIDTH + GAP) + GAP
    assert sheet.shape[0] > -(-number // COLUMNS) * WIDTH
    empty = draw_sheet([Panel(GREEN)] * number, [], [])
    assert (empty == (0, 200, 0)).all(-1).sum() == number * WIDTH**2


def test_of_long_file_names_the_end_is_shown():
    text = contact_sheet._end('a_long_name_of_a_picture_0042.jpg', font_for(WIDTH), 100)
    assert text.startswith('…') and text.endswith('0042.jpg')
    assert contact_sheet._end('42.jpg', font_for(WIDTH), 100) == '42.jpg'
