"""What can be wrong with a run, checked before it starts."""

from .preflight import preflight

__all__ = ['preflight']
