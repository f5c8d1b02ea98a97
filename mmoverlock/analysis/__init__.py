"""What a model costs, and what a run shows of itself."""
