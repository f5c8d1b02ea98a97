"""What a run shows of itself, drawn from its files."""

from .curves import draw_curves
from .predictions import draw_predictions

__all__ = ['draw_curves', 'draw_predictions']
