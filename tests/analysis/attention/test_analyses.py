"""What a user gets of activation maps, occlusion, receptive fields and speed, for each task."""

import json

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmoverlock.analysis.analysis import Options
from mmoverlock.analysis.run import analyze
from mmoverlock.analysis.section import Section

NAMES = dict(
    cls=['gradcam', 'occlusion', 'erf', 'speed'],
    det=['gradcam', 'erf', 'speed'],
    seg=['gradcam', 'erf', 'speed'],
)
LAYERS = dict(
    cls=['c4', 'focus'], det=['p2', 'p3', 'p4', 'p5', 'p6'], seg=['c5']
)  # the head of the segmentor takes c5 alone


def run(home, task, folder, names, **options):
    cfg = Config.fromfile(home / f'{task}.py')
    analyze(cfg, home / f'{task}.pth', names, folder, device='cpu', options=Options(**options))
    found = json.loads((folder / 'analysis.json').read_text('utf-8'))['analyses']
    return {name: Section.from_dict(one['section']) for name, one in found.items()}


@pytest.mark.parametrize('task', [*NAMES])
def test_task(at_home, tmp_path, task):
    sections = run(at_home, task, tmp_path, NAMES[task])
    assert [*sections] == NAMES[task]
    for section in sections.values():
        assert all((tmp_path / file).is_file() for file in section.files)
        for picture in section.pictures:
            assert min(Image.open(tmp_path / picture.file).size) > 100

    maps = torch.load(tmp_path / 'gradcam.pt', weights_only=True)
    assert [*maps] == (['EigenCAM'] if task == 'det' else ['Grad-CAM', 'Grad-CAM++', 'EigenCAM'])
    for found in maps.values():
        assert [*found] == LAYERS[task]
        for by_picture in found.values():
            assert [*by_picture] == [0, 1]
            assert all(one.ndim == 2 and (one >= 0).all() for one in by_picture.values())
    # Gradients have reached the layer.
    shallow = LAYERS[task][0]
    assert all(found[shallow][0].any() for found in maps.values())

    (fields,) = torch.load(tmp_path / 'erf.pt', weights_only=True).values()
    assert [*fields] == ['c2', 'c3', 'c4', 'c5']
    # Each stage sees more than the one before.
    (table,) = sections['erf'].tables
    areas = [row[table.columns.index('area of 20%')] for row in table.rows]
    assert areas == sorted(areas) and 0 < areas[0] < areas[-1] <= 1

    assert sections['speed'].facts['parameters'] > 0
    if task == 'cls':
        falls = torch.load(tmp_path / 'occlusion_heatmap.pt', weights_only=True)
        assert {index: one.shape for index, one in falls.items()} == dict.fromkeys((0, 1), (64, 64))


def test_layers_and_compare(at_home, tmp_path):
    names = ['overview', 'head.main.0', 'backbone.base_net.patch_embed1.0']
    other = tmp_path / 'other.pth'
    weights = torch.load(at_home / 'cls.pth', weights_only=True)
    stem = 'backbone.base_net.patch_embed1.0.weight'
    weights['state_dict'][stem] *= torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1)
    torch.save(weights, other)
    sections = run(
        at_home, 'cls', tmp_path / 'out', ['gradcam', 'erf'], layers=names, compare=str(other)
    )
    maps = torch.load(tmp_path / 'out/gradcam.pt', weights_only=True)
    assert [*maps['Grad-CAM']] == names
    assert maps['Grad-CAM'][names[-1]][0].shape == (32, 32)
    fields = torch.load(tmp_path / 'out/erf.pt', weights_only=True)
    assert [*fields] == [str(at_home / 'cls.pth'), str(other)]
    assert [table.title for table in sections['erf'].tables] == [
        'High-contribution area, cls.pth', 'High-contribution area, other.pth',
    ]  # fmt: skip
    one, two = (found['c2'] for found in fields.values())
    assert not one.allclose(two)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(layers=['c44']), "layer 'c44' does not exist; the nearest: 'c4'"),
        (dict(layers=['data_preprocessor']), "layer 'data_preprocessor' gives no tensor"),
        (dict(layers=['head']), r"layer 'head' gives \(1, 2\), no map"),
        (dict(layers=['head.aux.0']), "layer 'head.aux.0' gives no tensor"),
        (dict(compare='det.pth'), 'det.pth'),
        (dict(compare='nowhere.pth'), 'nowhere.pth'),
    ],
)
def test_wrong_options(at_home, tmp_path, options, message):
    """Refused before anything is written."""
    with pytest.raises((ValueError, OSError), match=message):
        run(at_home, 'cls', tmp_path, ['gradcam', 'erf'], **options)
    assert not [*tmp_path.iterdir()]
