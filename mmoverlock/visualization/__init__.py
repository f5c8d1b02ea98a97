"""Pictures: boxes, masks and labels on images, curves of a run, grids of predictions."""
