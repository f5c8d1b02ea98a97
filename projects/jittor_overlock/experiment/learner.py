"""What a framework has to offer: a network that learns, with NumPy's arrays in and out."""

from pathlib import Path
from typing import Protocol

import numpy as np

AUX_WEIGHT = 0.4
WEIGHT_DECAY = 0.05  # not on vectors: norms and biases
FRAMEWORKS = ('pytorch', 'jittor')
STAGES = ('stage 1', 'stage 2', 'stage 3', 'stage 4')  # Base-Net's first two, Focus-Net's two


class Learner(Protocol):
    """OverLoCK-XXT and AdamW. Images are normalised, (B, 3, H, W) float32; labels (B,)."""

    def step(self, images: np.ndarray, labels: np.ndarray, rate: float) -> tuple[float, float]:
        """Learn from a batch; returns the main and the auxiliary loss, not weighted."""

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Main logits in evaluation mode, (B, classes)."""

    def fields(self, images: np.ndarray) -> list[np.ndarray]:
        """Of each stage, (B, 3, H, W): the gradient of the sum over channels of the map's centre,
        (H' // 2, W' // 2), with respect to the images, in evaluation mode."""

    def attention(self, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stage 3's maps (B, C, H', W'), and the gradients of the labels' logits with respect to
        them, in evaluation mode."""

    def load(self, file: Path) -> None:
        """Load weights (safetensors)."""

    def save(self, file: Path) -> None:
        """Write weights (safetensors)."""


def make(framework: str, classes: int, float64: bool = False) -> Learner:
    """A learner with random weights; in float64 PyTorch alone."""
    if framework == 'jittor':
        from .jittor_learner import JittorLearner

        return JittorLearner(classes)
    from .pytorch_learner import PyTorchLearner

    return PyTorchLearner(classes, float64)
