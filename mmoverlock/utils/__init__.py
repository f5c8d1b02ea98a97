"""Helpers that several rooms share; they import nothing else of mmoverlock."""
