"""Figures of any task: PNG files in one style."""
