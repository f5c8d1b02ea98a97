"""What a detector does: analyses for mmdet's models, with and without masks."""
