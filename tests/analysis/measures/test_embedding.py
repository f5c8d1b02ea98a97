"""Features in the plane."""

import numpy as np
import pytest

from mmoverlock.analysis.measures.embedding import embed


@pytest.mark.parametrize(('number', 'method'), [(40, 'PCA'), (60, 't-SNE')])
def test_groups_stay_apart(number, method):
    groups = np.arange(number) % 3
    features = 20 * np.eye(3, 8)[groups] + np.random.default_rng(0).standard_normal((number, 8))
    points, name = embed(features)
    assert name == method and points.shape == (number, 2)
    distances = np.linalg.norm(points[:, None] - points, axis=2) + np.diag([np.inf] * number)
    assert (groups[distances.argmin(1)] == groups).all()


@pytest.mark.parametrize(
    'features', [np.ones((1, 4)), np.ones((60, 4)), np.eye(2), np.eye(5)[:, :1]]
)
def test_few_or_equal_features(features):
    points, name = embed(features)
    assert name == 'PCA' and points.shape == (len(features), 2) and np.isfinite(points).all()
