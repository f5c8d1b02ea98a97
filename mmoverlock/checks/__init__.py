"""What can be wrong with a run, checked before it starts."""
