"""Names in every script, with a font that is made here, or as numbers, but never as boxes."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from mmengine.structures import InstanceData, PixelData
from PIL import Image, ImageDraw

from mmoverlock.visualization import fonts
from mmoverlock.visualization.drawing import draw_bars
from mmoverlock.visualization.library_drawing import adapt

CAT = '\ue000'  # of private use: no installed font decides what the tests do
UNKNOWN = '\U000f1234'


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(fonts, '_installed', list)
    monkeypatch.delenv('MMOVERLOCK_FONT', raising=False)
    monkeypatch.setattr(fonts, '_warned', set())
    for cached in (fonts.find_font, fonts._characters):
        cached.cache_clear()
    yield
    fonts.find_font.cache_clear()


@pytest.fixture
def told(monkeypatch):
    """The warnings."""
    texts = []
    monkeypatch.setattr(fonts, 'warn', texts.append)
    return texts


@pytest.fixture
def font(tmp_path):
    """A font in which CAT is a black square as wide as the line is high."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(['.notdef', 'cat'])
    builder.setupCharacterMap({ord(CAT): 'cat'})
    pen = TTGlyphPen(None)
    for number, place in enumerate([(0, 0), (0, 800), (1000, 800), (1000, 0)]):
        (pen.lineTo if number else pen.moveTo)(place)
    pen.closePath()
    builder.setupGlyf({'.notdef': TTGlyphPen(None).glyph(), 'cat': pen.glyph()})
    builder.setupHorizontalMetrics({'.notdef': (500, 0), 'cat': (1000, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable(dict(familyName='Cat', styleName='Regular'))
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / 'cat.ttf')
    return str(tmp_path / 'cat.ttf')


def drawn(text):
    """The pixels of a text, dark where its ink is."""
    image = Image.new('L', (300, 40), 255)
    fonts.Font(20).draw(ImageDraw.Draw(image), (5, 20), text, 0)
    return np.asarray(image)


@pytest.mark.parametrize('given', [True, False])
def test_a_font_that_has_the_character_is_taken(font, given, monkeypatch, told):
    if given:
        monkeypatch.setenv('MMOVERLOCK_FONT', font)
    else:
        monkeypatch.setattr(fonts, '_installed', lambda: [font])
    base = fonts.base_font()
    assert fonts.split(f'a cat {CAT}{CAT} 90%') == [
        (base, 'a cat '),
        (font, CAT * 2),
        (base, ' 90%'),
    ]
    black = (drawn(CAT) == 0).sum()
    assert black > 0.9 * 20 * 16  # the square
    assert fonts.Font(20).getlength(CAT + 'a') == 20 + fonts.Font(20).getlength('a')
    assert 'Cat' in fonts.families(CAT)
    assert not told


def test_without_a_font_the_number_is_drawn(told):
    assert fonts.drawable(f'a {UNKNOWN}b') == r'a \U000f1234b'
    assert np.array_equal(drawn(UNKNOWN), drawn(r'\U000f1234'))
    (line,) = told  # once for a script
    assert 'no installed font has' in line and 'U+F1234' in line and 'MMOVERLOCK_FONT' in line
    assert '\n' not in line


@pytest.mark.parametrize(('character', 'script', 'package'), [
    ('猫', 'CJK', 'fonts-noto-cjk'), ('แ', 'Thai', 'fonts-thai-tlwg'),
    ('ब', 'Devanagari', 'fonts-noto-core'), ('🚗', 'emoji', 'fonts-symbola'),
])  # fmt: skip
def test_the_missing_script_is_named(character, script, package, told):
    fonts.drawable(character)
    assert re.search(rf'no installed font has {script} .*{package}', *told)


def test_marks_stay_with_their_letter():
    assert fonts.split('e\u0301 \u200d') == [(fonts.base_font(), 'e\u0301 \u200d')]


@pytest.mark.parametrize(('content', 'message'), [(None, 'is no file'), ('text', 'is no font')])
def test_a_wrong_font_is_told(tmp_path, monkeypatch, content, message):
    path = tmp_path / 'x.ttf'
    if content:
        path.write_text(content)
    monkeypatch.setenv('MMOVERLOCK_FONT', str(path))
    with pytest.raises(ValueError, match=f"MMOVERLOCK_FONT: '.*x.ttf' {message}"):
        fonts.find_font(CAT)


def test_bars(font, monkeypatch):
    monkeypatch.setenv('MMOVERLOCK_FONT', font)
    bars = draw_bars(np.zeros((400, 400, 3), np.uint8), [(CAT, 0.0, (1, 2, 3))])
    assert (bars[400:] == (33, 37, 41)).all(2).sum() > 100  # ink in a square


def visualizers():
    """One of each library, and a sample for it."""
    from mmdet.structures import DetDataSample
    from mmdet.visualization import DetLocalVisualizer
    from mmpretrain.structures import DataSample
    from mmpretrain.visualization import UniversalVisualizer
    from mmseg.structures import SegDataSample
    from mmseg.visualization import SegLocalVisualizer

    boxes = InstanceData(
        bboxes=torch.tensor([[50.0, 80, 300, 300]]), labels=torch.tensor([0]),
        scores=torch.tensor([0.9]),
    )  # fmt: skip
    labels = PixelData(data=torch.zeros(1, 320, 320, dtype=torch.long))
    yield 'det', DetLocalVisualizer(name='det'), DetDataSample(pred_instances=boxes)
    yield 'seg', SegLocalVisualizer(name='seg'), SegDataSample(pred_sem_seg=labels)
    sample = DataSample().set_pred_label(0).set_gt_label(0)
    yield 'cls', UniversalVisualizer(name='cls'), sample


@pytest.mark.parametrize('folder', ['', 'below'])
def test_the_libraries_draw_them_too(font, monkeypatch, tmp_path, folder):
    """Their pictures have the square's ink, which empty boxes and question marks do not have."""
    monkeypatch.setenv('MMOVERLOCK_FONT', font)
    grey = np.full((320, 320, 3), 120, np.uint8)
    for name, visualizer, sample in visualizers():
        visualizer.dataset_meta = dict(classes=[CAT * 3], palette=[(200, 0, 0)])
        sample.set_metainfo(dict(img_path='a.png'))
        adapt(visualizer, {'a.png': folder})
        out = tmp_path / f'{name}.png'
        call = dict(data_sample=sample, out_file=str(out))
        if name == 'cls':
            visualizer.visualize_cls(image=grey, name='a.png', **call)
        else:
            visualizer.add_datasample('a.png', grey, **call)
        picture = np.asarray(Image.open(tmp_path / folder / f'{name}.png').convert('RGB'))
        light = (picture.min(2) > 180).astype(np.uint8)
        erased = cv2.erode(light, np.ones((5, 12), np.uint8))  # what is left of wide squares
        assert erased.any(), name
