"""Curves of several runs: read, chosen, smoothed, laid out in panels, summed up in tables."""
