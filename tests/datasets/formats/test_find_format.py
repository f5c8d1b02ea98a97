"""Which format a folder has."""

import sys

import pytest

from mmoverlock.datasets.formats import FORMATS, find_format, read_objects

from . import scenes

OBJECTS = ('coco', 'yolo', 'voc', 'labelme')


def class_folders(root):
    for name in ('cat', 'dog'):
        scenes.image(root / name / '0.png')
    return root


def refused(*arguments, **options):
    with pytest.raises(ValueError) as error:
        find_format(*arguments, **options)
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize('name', OBJECTS)
def test_formats_of_tasks(tmp_path, name):
    root = getattr(scenes, name)(tmp_path)
    for task in (None, 'detection', 'segmentation'):
        assert find_format(str(root), task) == find_format(root, task, name) == name
    for other in {*OBJECTS} - {name}:
        assert f'{other}: ' in refused(root, name=other)


def test_class_folders(tmp_path):
    assert find_format(class_folders(tmp_path)) == 'class_folders'
    assert find_format(tmp_path, 'classification') == 'class_folders'
    message = refused(tmp_path, 'detection')
    assert str(tmp_path) in message and all(f'{name}: ' in message for name in OBJECTS)
    assert "only class_folders ('cat')" in message


def test_nothing_to_find(tmp_path):
    scenes.text(tmp_path / 'notes.txt', 'nothing')
    scenes.text(tmp_path / 'a.json', {})
    assert all(name in refused(tmp_path) for name in FORMATS)
    assert 'is a file' in refused(tmp_path / 'notes.txt')
    assert 'is not a folder' in refused(tmp_path / 'none')


def test_data_one_folder_further_down(tmp_path):
    root = scenes.coco(tmp_path / 'unpacked')
    assert f"but '{root}' has" in refused(tmp_path, 'detection')
    assert f"but '{root}' has" not in refused(tmp_path, name='yolo')


def test_wrong_names(tmp_path):
    message = refused(tmp_path, name='cocoo')
    assert "'cocoo'" in message and all(f"'{name}'" in message for name in FORMATS)
    assert "did you mean 'coco'?" in message
    assert "'class_folders'" in refused(tmp_path, 'detection', 'class_folders')
    assert "task='pose'" in refused(tmp_path, 'pose')


def test_two_formats(tmp_path):
    scenes.labelme(scenes.yolo(tmp_path), images='images/{split}', annotations='images/{split}')
    message = refused(tmp_path)
    assert "yolo ('data.yaml')" in message and 'choose one' in message
    assert "labelme ('images/train/00.json')" in message
    assert find_format(tmp_path, name='yolo') == read_objects(tmp_path, 'yolo').format.lower()
    # Of two, segmentation takes the one with masks.
    assert find_format(tmp_path, 'segmentation') == 'labelme'


@pytest.mark.parametrize('name', OBJECTS)
def test_masks_decide_for_segmentation(tmp_path, name):
    with_masks = dict(coco='masks', yolo='polygons', voc='polygons', labelme='polygons')[name]
    other = 'voc' if name != 'voc' else 'yolo'
    getattr(scenes, other)(getattr(scenes, name)(tmp_path, **{with_masks: True}))
    assert find_format(tmp_path, 'segmentation') == name
    getattr(scenes, name)(tmp_path, **{with_masks: False})
    assert 'choose one' in refused(tmp_path, 'segmentation')


@pytest.mark.parametrize('name', ['yolo', 'voc', 'labelme'])
def test_supervision_is_missing(tmp_path, monkeypatch, name):
    root = getattr(scenes, name)(tmp_path)
    for module in [one for one in sys.modules if one.partition('.')[0] == 'supervision']:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(ValueError, match=r"pip install 'mmoverlock\[data\]'"):
        read_objects(root)
