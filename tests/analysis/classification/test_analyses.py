"""Analyses of predictions whose truth is known."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from mmoverlock.analysis.analysis import Options
from mmoverlock.analysis.classification.calibration import Calibration
from mmoverlock.analysis.classification.confusion import Confusion
from mmoverlock.analysis.classification.errors import Errors
from mmoverlock.analysis.classification.features import Features, colour_groups, sample_points
from mmoverlock.analysis.classification.predictions import Predictions, choose
from mmoverlock.analysis.classification.sample import pooled
from mmoverlock.analysis.measures.label_errors import label_errors
from mmoverlock.runtime.calibrators import read_calibrator, softmax

from ..synthetic import draw, fake_subject, gaussian_logits

EVERY = Calibration, Confusion, Errors, Features, Predictions


def finish(analysis, subject, folder):
    one = analysis(subject, folder, Options())
    one.see(subject.results)
    return one.finish()


def test_table_of_predictions():
    scores, labels = softmax(gaussian_logits(6, 3)), np.arange(6) % 3
    results = fake_subject(scores, labels).results
    assert len(results) == 6 and results.labels.tolist() == labels.tolist()
    assert np.allclose(results.scores, scores) and results.file(3) == '000003.png'


def test_bad_scores_and_labels():
    with pytest.raises(ValueError, match=r"picture '000001\.png': .* not finite"):
        fake_subject(np.array([[0.5, 0.5], [np.nan, 0.5]]), np.zeros(2))
    with pytest.raises(ValueError, match=r"picture '000000\.png' has label 2, the model 2 classes"):
        fake_subject(np.array([[0.5, 0.5]]), np.array([2]))


def test_confusion(tmp_path):
    predicted, labels = np.array([0, 1, 1, 1, 2]), np.array([0, 0, 0, 1, 2])
    section = finish(Confusion, fake_subject(np.eye(4)[predicted], labels), tmp_path)
    expected = [[1, 2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert np.load(tmp_path / 'confusion_matrix.npy').tolist() == expected
    assert section.tables[0].rows == [['class 0', 'class 1', 2, 2 / 3]]
    assert section.facts['most frequent confusion'] == 'class 0 taken for class 1: 2 of 3'


def test_calibration(tmp_path):
    """Overconfident by 3: the stored calibrators and figures are those of the halves."""
    logits = gaussian_logits(4000, 4)
    scores, labels = softmax(logits), draw(logits, 3.0)
    section = finish(Calibration, fake_subject(scores, labels), tmp_path)
    assert section.facts['temperature'] == pytest.approx(3, rel=0.1)
    assert section.facts['ECE'] > 0.1 > 0.04 > section.facts['ECE with temperature scaling']
    stats = np.load(tmp_path / 'calibration_stats.npz')
    assert stats['methods'].tolist() == ['uncalibrated', 'temperature', 'platt', 'isotonic']
    assert (stats['counts'].sum(1) == 2000).all() and stats['edges'].shape == (16,)
    gaps = np.nan_to_num(np.abs(stats['accuracies'] - stats['mean_scores']))
    assert np.allclose((stats['counts'] / 2000 * gaps).sum(1), stats['ece'])
    assert np.allclose(stats['ece'], [row[2] for row in section.tables[0].rows])
    for method in stats['methods'][1:]:
        file = tmp_path / f'calibrator_{method}.json'
        assert read_calibrator(file, [f'class {k}' for k in range(4)]).method == method


def test_a_model_that_is_always_right_does_not_determine_the_temperature(tmp_path):
    labels = np.arange(60) % 3
    section = finish(Calibration, fake_subject(softmax(5.0 * np.eye(3)[labels]), labels), tmp_path)
    assert any('Do not use the' in text for text in section.text)


def test_finds_wrong_labels(tmp_path):
    """Of 600 labels 30 are changed; a sure model finds them, and nothing else."""
    rng = np.random.default_rng(0)
    truth = np.arange(600) % 5
    scores = softmax(6.0 * np.eye(5)[truth] + 0.5 * rng.standard_normal((600, 5)))
    given, changed = truth.copy(), rng.choice(600, 30, replace=False)
    given[changed] = (given[changed] + 1) % 5
    assert set(label_errors(scores, given)) == set(changed)
    section = finish(Errors, fake_subject(scores, given), tmp_path)
    with open(tmp_path / 'label_errors.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert {row['file'] for row in rows} == {f'{one:06d}.png' for one in changed}
    own = [float(row['score of the given']) for row in rows]
    assert own == sorted(own) and section.facts['likely label errors'] == 30
    for row in rows:
        assert row['likely class'] == f'class {truth[int(row["file"][:6])]}'


def test_chosen_pictures():
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8], [0.49, 0.51]])
    labels = np.array([0, 0, 0, 1, 0])
    assert choose(scores, labels, 2) == {
        'best': [0, 3],
        'worst': [2, 4],
        'most uncertain': [4, 1],
        'most confidently wrong': [2, 4],
    }
    assert choose(scores, None, 1) == {'most certain': [0], 'most uncertain': [4]}
    assert choose(scores, scores.argmax(1), 9)['most confidently wrong'] == []


def test_features(tmp_path):
    scores, labels = softmax(gaussian_logits(40, 3)), np.arange(40) % 3
    features = gaussian_logits(40, 16)
    finish(Features, fake_subject(scores, labels, features), tmp_path)
    found = np.load(tmp_path / 'features.npz')
    assert np.allclose(found['features'], features) and found['labels'].tolist() == labels.tolist()
    assert found['files'][3] == '000003.png' and found['classes'].tolist()[2] == 'class 2'


def test_colours_of_many_classes():
    classes = np.repeat(np.arange(25), 4)
    wrong = np.zeros(100, bool)
    wrong[[8, 9, 40]] = True  # classes 2, 2, 10
    chosen = colour_groups(classes, wrong, 25)
    assert len(chosen) == 10 and {2, 10} < set(chosen)
    assert colour_groups(classes % 5, wrong, 5) == list(range(5))
    points = sample_points(np.isin(classes, [2, 10]), 20)
    assert len(points) == 20 and set(points) > {8, 9, 10, 11, 40, 41, 42, 43}
    assert len(sample_points(wrong, 1000)) == 100


@pytest.mark.parametrize(
    ('number', 'classes', 'labelled'),
    [(1, 1, True), (1, 3, True), (5, 1, True), (2, 2, True), (7, 45, True), (1, 45, False)],
)
def test_small_sets(number, classes, labelled, tmp_path):
    """Few pictures, one class, classes without a picture, no labels: a section, whatever there is."""
    scores = softmax(gaussian_logits(number, classes))
    labels = np.arange(number) % min(classes, 3) if labelled else None
    subject = fake_subject(scores, labels)
    for analysis in EVERY:
        section = finish(analysis, subject, tmp_path)
        json.dumps(section.to_dict())
        assert section.facts or section.text or section.tables
        for picture in section.pictures:
            assert min(Image.open(tmp_path / picture.file).size) > 100
        for file in section.files:
            assert (tmp_path / file).is_file()
        if not labelled and analysis.needs_labels:
            assert 'no labels' in section.text[0] and not section.files


def test_several_tokens_are_put_side_by_side():
    found = pooled((torch.tensor([[1.0, 2.0]]), torch.tensor([[[3.0], [5.0]]])))
    assert found.tolist() == [[1, 2, 4]]
