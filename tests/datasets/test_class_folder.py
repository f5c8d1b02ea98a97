"""Folders of classes: divided or not, and what may be wrong with them."""

import pytest
from mmengine.registry import DATASETS
from PIL import Image

from mmoverlock.datasets.class_folder import class_names


def fill(root, counts):
    """`counts`: folder: number of pictures."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True)
        for index in range(count):
            Image.new('RGB', (8, 8)).save(root / folder / f'{index:02d}.png')
    return root


def load(root, split, **options):
    cfg = dict(type='ClassFolder', data_root=str(root), split=split, **options)
    dataset = DATASETS.build(cfg)
    return [(dataset[i]['img_path'][-8:-4], dataset[i]['gt_label']) for i in range(len(dataset))]


def test_undivided_folders_hold_out_every_fifth(tmp_path):
    fill(tmp_path, {'cat': 11, 'a': 5, '.git': 1, '__MACOSX': 0, 'work_dirs': 1})
    train, val = load(tmp_path, 'train'), load(tmp_path, 'val')
    assert (len(train), len(val)) == (13, 3)
    assert val == [('a/04', 0), ('t/04', 1), ('t/09', 1)] == load(tmp_path, 'test')
    assert not {*train} & {*val}
    assert len(load(tmp_path, 'val', hold_out=2)) == 7


def test_divided_folders(tmp_path):
    fill(tmp_path, {'train/a': 1, 'train/b': 2, 'val/a': 3, 'val/b': 1})
    sizes = [len(load(tmp_path, split)) for split in ('train', 'val', 'test')]
    assert sizes == [3, 4, 4]
    fill(tmp_path, {'test/a': 1, 'test/b': 1})
    assert len(load(tmp_path, 'test')) == 2
    assert class_names(tmp_path) == ['a', 'b']


def test_other_names_of_validation(tmp_path):
    """Roboflow's."""
    fill(tmp_path, {'train/a': 1, 'train/b': 2, 'valid/a': 3, 'valid/b': 1})
    assert [len(load(tmp_path, split)) for split in ('train', 'val', 'test')] == [3, 4, 4]


@pytest.mark.parametrize(
    ('counts', 'split', 'message'),
    [
        ({}, 'train', 'holds no folders'),
        ({'a': 5}, 'train', "holds one class, 'a': at least two"),
        ({'a': 5, 'b': 4}, 'val', r"no image for val in 1 class folders of .*5 are needed.*: 'b'"),
        ({'train/a': 1, 'train/b': 0, 'val/a': 1, 'val/b': 1}, 'train', "no image for .*: 'b'"),
        ({'train/a': 1}, 'val', "holds a folder 'train', but no 'val'"),
        (
            {'train/a': 1, 'train/b': 1, 'val/a': 1, 'val/c': 1},
            'val',
            "different .*: 'b', 'c' only",
        ),
        ({'a': 5}, 'test2', "split='test2': allowed are train, val, test"),
    ],
)
def test_mistakes(tmp_path, counts, split, message):
    with pytest.raises(ValueError, match=message):
        load(fill(tmp_path, counts), split)


def test_no_folder(tmp_path):
    with pytest.raises(ValueError, match=r"data_root '.*gone' is not a folder"):
        load(tmp_path / 'gone', 'train')
    with pytest.raises(ValueError, match='hold_out=1: at least 2'):
        load(tmp_path, 'train', hold_out=1)
