"""Features in two dimensions: principal components, then t-SNE."""

import numpy as np

from ..extras import extra

COMPONENTS = 50  # that t-SNE gets, as its authors advise
FEW = 50  # below so many points there are no neighbourhoods to show
PERPLEXITY = 30


def embed(features: np.ndarray) -> tuple[np.ndarray, str]:
    """Points in the plane, and the method: 'PCA', or 't-SNE' of 50 points or more.

    t-SNE is scikit-learn's (van der Maaten and Hinton 2008), of the first 50 principal components,
    seeded and begun from the first two.

    Args:
        features: (N, D).

    Returns:
        (N, 2), and the name.
    """
    number, size = features.shape
    decomposition = extra('sklearn.decomposition')
    reduced = np.zeros((number, 2), np.float32)
    components = min(COMPONENTS, number, size)
    if np.ptp(features, 0).any():
        model = decomposition.PCA(components, random_state=0)
        found = model.fit_transform(features.astype(np.float64)).astype(np.float32)
        reduced = found if components > 1 else np.hstack([found, reduced[:, 1:]])
    if number < FEW or not np.ptp(reduced, 0).any():
        return reduced[:, :2], 'PCA'
    manifold = extra('sklearn.manifold')
    perplexity = min(PERPLEXITY, number / 4)
    model = manifold.TSNE(2, perplexity=perplexity, init='pca', random_state=0)
    with extra('threadpoolctl').threadpool_limits(1):  # of so few points more threads only wait
        return model.fit_transform(reduced), 't-SNE'
