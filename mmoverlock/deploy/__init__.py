"""From a trained model to a file that other runtimes execute, and the proof that both agree."""
