"""What is computed from arrays and tensors, whatever the task: no files, no figures."""
