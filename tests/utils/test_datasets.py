"""The data sets inside wrappers."""

from torch.utils.data import ConcatDataset

from mmoverlock.utils.datasets import leaf_configs, leaf_dataset, leaf_datasets

INNER = dict(type='Inner')
CFG = dict(
    type='Concat', datasets=[dict(type='Repeat', dataset=INNER), dict(type='Other', ann_file='a')]
)


def test_leaves_of_a_config():
    leaves = list(leaf_configs(CFG, 'data'))
    assert [key for _, key in leaves] == ['data.datasets.0.dataset', 'data.datasets.1']
    assert leaves[0][0] is INNER is leaf_dataset(CFG)
    assert list(leaf_configs(INNER, 'data')) == [(INNER, 'data')]


def test_leaves_of_data_sets():
    class Repeat:
        def __init__(self, dataset):
            self.dataset = dataset

    a, b = [1, 2], [3]
    (first, second) = leaf_datasets(Repeat(ConcatDataset([a, b])))
    assert first is a and second is b
