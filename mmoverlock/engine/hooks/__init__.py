"""Hooks, one a file. Importing mmoverlock.engine registers them."""
