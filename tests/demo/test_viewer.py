"""What the page shows of each task: the slider changes the drawing, not the results."""

import numpy as np
import pytest
from PIL import Image

from mmoverlock.apis import Inferencer
from mmoverlock.demo import Viewer

SCENE = 'data/digits_scenes/val/000000.png'


@pytest.fixture
def runs(monkeypatch) -> list[int]:
    """Grows by one whenever a network runs."""
    runs, predict = [], Inferencer.predict
    monkeypatch.setattr(
        Inferencer, 'predict', lambda self, picture: runs.append(1) or predict(self, picture)
    )
    return runs


def test_threshold(at_home, runs):
    viewer = Viewer('det.py', 'det.pth', device='cpu')
    found = viewer.look(SCENE)
    scores = [one['score'] for one in found.results[0]['objects']]
    assert len(set(scores)) > 1
    middle = sorted(scores)[len(scores) // 2]
    ((everything, all_rows),) = viewer.show(found, 0)
    ((some, rows),) = viewer.show(found, middle)
    assert len(all_rows) == len(scores)
    assert len(rows) == sum(score >= middle for score in scores) < len(all_rows)
    assert len(rows[0]) == len(viewer.headings)
    assert (everything != some).any()
    ((nothing, none),) = viewer.show(found, 1)
    pixels = np.asarray(Image.open(SCENE).convert('RGB'))
    factor = nothing.shape[0] // pixels.shape[0]
    assert none == [] and (nothing[::factor, ::factor] == pixels).all()
    assert runs == [1]


def test_number_of_classes(at_home, runs):
    viewer = Viewer('cls.py', 'cls.pth', ('cls.py', 'cls.pth'), device='cpu')
    assert (viewer.control.start, viewer.control.most) == (2, 2)
    shown = viewer.show(viewer.look(SCENE), 1)
    assert [len(rows) for _, rows in shown] == [1, 1] and runs == [1, 1]
    assert viewer.names == ['cls.pth', 'cls.pth']


def test_opacity(at_home, runs):
    viewer = Viewer('seg.py', 'seg.pth', device='cpu')
    found = viewer.look(SCENE)
    ((clear, rows),), ((full, _),) = viewer.show(found, 0), viewer.show(found, 1)
    pixels = np.asarray(Image.open(SCENE).convert('RGB'))
    factor = clear.shape[1] // pixels.shape[1]
    height = factor * pixels.shape[0]
    assert (clear[:height:factor, ::factor] == pixels).all()
    colours = {tuple(colour) for colour in full[:height].reshape(-1, 3).tolist()}
    assert len(colours) == len(rows)
    assert runs == [1]


def test_mistakes(at_home, tmp_path):
    with pytest.raises(ValueError, match="'det.pth' is for detection, 'cls.pth' for classifi"):
        Viewer('cls.py', 'cls.pth', ('det.py', 'det.pth'), device='cpu')
    viewer = Viewer('cls.py', 'cls.pth', device='cpu')
    (tmp_path / 'broken.png').write_text('no picture')
    with pytest.raises(ValueError) as error:
        viewer.look(tmp_path / 'broken.png')
    assert str(error.value) == "image 'broken.png' cannot be read: no image, or damaged"
