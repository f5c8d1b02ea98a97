"""What a segmentor does: analyses for mmseg's models."""
