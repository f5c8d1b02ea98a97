"""Environment variables that mmoverlock reads; docs/environment.md lists them."""

import os


def backend() -> str | None:
    """MMOVERLOCK_BACKEND: the backend of the dynamic convolutions, or None to choose by device."""
    return os.environ.get('MMOVERLOCK_BACKEND') or None
