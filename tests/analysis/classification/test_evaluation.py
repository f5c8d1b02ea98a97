"""``mmoverlock analyze`` on a tiny classifier: its files, with and without labels."""

import json

import numpy as np
import torch
from mmengine.config import Config

from mmoverlock.analysis.run import analyze

NAMES = 'eval', 'confusion', 'calibration', 'errors', 'predictions', 'features'


def read(folder, name):
    return json.loads((folder / name).read_text())


def sections(folder):
    return {name: one['section'] for name, one in read(folder, 'analysis.json')['analyses'].items()}


def test_all_files(at_home, tmp_path):
    analyze(Config.fromfile('cls.py'), 'cls.pth', NAMES, tmp_path)
    metrics = read(tmp_path, 'eval_metrics.json')
    matrix = np.load(tmp_path / 'confusion_matrix.npy')
    assert matrix.sum() == 2 and metrics['top1'] == matrix.trace() / 2
    assert [row['class'] for row in metrics['classes']] == ['dark', 'light']
    assert [row['support'] for row in metrics['classes']] == [1, 1]
    assert metrics['balanced_accuracy'] == metrics['top1'] and 'top5' not in metrics
    assert metrics['multiply_adds'] > 1e5 and metrics['images_per_second'] > 0
    known = torch.load('cls.pth', weights_only=True)['state_dict']
    every = sum(value.numel() for name, value in known.items() if 'running' not in name)
    assert 0.3 * every < metrics['parameters'] < every  # branches merged, no auxiliary head
    assert set(sections(tmp_path)) == set(NAMES)
    for section in sections(tmp_path).values():
        for file in [*section['files'], *(picture['file'] for picture in section['pictures'])]:
            assert (tmp_path / file).is_file()


def test_without_labels(at_home, tmp_path):
    cfg = Config.fromfile('cls.py')
    cfg.test_dataloader.dataset.update(with_label=False, data_root='data/digits_scenes/val')
    analyze(cfg, 'cls.pth', NAMES, tmp_path, max_images=1)
    metrics = read(tmp_path, 'eval_metrics.json')
    assert metrics['top1'] is metrics['macro_f1'] is None and metrics['images'] == 1
    assert sum(row['predicted'] for row in metrics['classes']) == 1
    found = sections(tmp_path)
    for name in ('confusion', 'calibration', 'errors'):
        assert 'no labels' in found[name]['text'][0] and not found[name]['files']
    assert any('no labels' in text for text in found['eval']['text'])
    assert np.load(tmp_path / 'features.npz')['labels'].tolist() == [-1]
