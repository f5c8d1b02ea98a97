"""Curves, from files as a run leaves them."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest

from mmoverlock.visualization.curves import draw_curves, read_points

NAN, INF = math.nan, math.inf


@pytest.fixture
def work_dir(tmp_path):
    rows = [dict(loss=5.0 / step, loss_cls=2.0 / step, lr=1e-3, step=step) for step in (1, 2, 3, 4)]
    rows.insert(2, {'coco/bbox_mAP': 0.2, 'coco/segm_mAP': 0.1, 'step': 0})
    rows.append({'coco/bbox_mAP': 0.6, 'coco/segm_mAP': 0.5, 'step': 4})
    for number, part in enumerate((rows[:3], rows[3:])):  # a resumed run goes on in a new file
        folder = tmp_path / f'2026_{number}' / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, part)) + '\n')
    return tmp_path


def ink(path) -> np.ndarray:
    """Which pixels of a picture are not white."""
    return (cv2.imread(str(path)) < 250).any(axis=2)


def test_curves(work_dir):
    trained, evaluated = read_points(work_dir)
    assert trained['loss'] == {step: 5.0 / step for step in (1, 2, 3, 4)}
    assert evaluated['coco/bbox_mAP'] == {2: 0.2, 4: 0.6}
    draw_curves(work_dir, work_dir / 'curves.png')
    height, width = (drawn := ink(work_dir / 'curves.png')).shape
    for half in (drawn[:, : width // 2], drawn[:, width // 2 :]):
        assert 0.01 < half.mean() < 0.5


def test_points_of_a_classifier(tmp_path):
    """Step 2 is trained twice: the run was killed in it and resumed."""
    rows = [dict(loss=3.0, loss_aux=1.0, step=1), {'accuracy/top1': 10.0, 'step': 1}]
    rows += [dict(loss=9.0, step=2), dict(loss=2.0, loss_aux=0.5, step=2)]
    rows.append({'accuracy/top1': 60.0, 'accuracy/top5': 90.0, 'val/cross_entropy': 1.5, 'step': 2})
    (tmp_path / 'a/vis_data').mkdir(parents=True)
    (tmp_path / 'a/vis_data/scalars.json').write_text('\n'.join(map(json.dumps, rows)))
    trained, evaluated = read_points(tmp_path)
    assert trained == dict(loss={1: 3.0, 2: 2.0}, loss_aux={1: 1.0, 2: 0.5})
    assert evaluated == {
        'accuracy/top1': {1: 10.0, 2: 60.0},
        'accuracy/top5': {2: 90.0},
        'val/cross_entropy': {2: 1.5},
    }
    draw_curves(tmp_path, tmp_path / 'curves.png')
    assert 0.01 < ink(tmp_path / 'curves.png').mean() < 0.5


def test_curves_with_gaps(tmp_path):
    """MMEngine writes NaN and Infinity, which are no JSON."""
    rows = [dict(loss=value, step=step) for step, value in enumerate((2.0, NAN, INF, 1.0), 1)]
    rows += [{'coco/bbox_mAP': value, 'step': 4} for value in (NAN, -1.0)]
    (tmp_path / 'a/vis_data').mkdir(parents=True)
    (tmp_path / 'a/vis_data/scalars.json').write_text('\n'.join(map(json.dumps, rows)))
    trained, _ = read_points(tmp_path)
    assert (trained['loss'][1], trained['loss'][4]) == (2, 1)
    assert math.isnan(trained['loss'][2]) and math.isinf(trained['loss'][3])
    draw_curves(tmp_path, tmp_path / 'curves.png')
    assert 0.01 < ink(tmp_path / 'curves.png').mean() < 0.5


def test_curves_of_nothing(tmp_path):
    with pytest.raises(ValueError, match='holds no'):
        draw_curves(tmp_path, tmp_path / 'curves.png')


def test_a_damaged_log_is_read_as_far_as_it_is_whole(work_dir, monkeypatch):
    told = []
    path = 'mmoverlock.utils.run_log.print_log'
    monkeypatch.setattr(path, lambda text, **_: told.append(text))
    whole = read_points(work_dir)
    (file,) = work_dir.glob('2026_1/vis_data/scalars.json')
    with file.open('a') as log:
        log.write('{"loss": NaN, "step": 5}\n{"loss": null, "loss_cls": "high", "step": 6}\n')
        log.write('\0\0\0\n[1]\n{"loss": 1.0}\n{"loss": 2.0, "ste')
    trained, evaluated = read_points(work_dir)
    assert evaluated == whole[1] and trained['loss_cls'] == whole[0]['loss_cls']
    assert [step for step, loss in trained['loss'].items() if np.isnan(loss)] == [5, 6]
    (line,) = told
    assert f"'{file}': cut or damaged and left out: line 6, 7, 8, 9" in line
    draw_curves(work_dir, work_dir / 'curves.png')
    assert 0.01 < ink(work_dir / 'curves.png').mean() < 0.5


@pytest.mark.parametrize('text', ['', '{"loss": 1'])
def test_curves_of_a_log_without_a_whole_line(tmp_path, text):
    (tmp_path / 'a/vis_data').mkdir(parents=True)
    (tmp_path / 'a/vis_data/scalars.json').write_text(text)
    with pytest.raises(ValueError, match='holds nothing that can be read in its'):
        draw_curves(tmp_path, tmp_path / 'curves.png')


def test_curves_of_metrics_in_any_script(tmp_path):
    row = {'loss': 1.0, 'step': 1}
    (tmp_path / 'a/vis_data').mkdir(parents=True)
    lines = [json.dumps(row), json.dumps({'\U000f1234/mAP': 0.5, 'step': 1})]
    (tmp_path / 'a/vis_data/scalars.json').write_text('\n'.join(lines))
    draw_curves(tmp_path, tmp_path / 'curves.png')  # a missing glyph would be a warning
    assert ink(tmp_path / 'curves.png').any()
