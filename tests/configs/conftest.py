"""The tools, as in tests/tools."""

from ..tools.conftest import tool

__all__ = ['tool']
