"""What a classifier does: analyses for mmpretrain's models."""
