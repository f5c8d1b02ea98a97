"""Fixtures of the checks' tests."""

import logging

import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """The warnings that are logged."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Handler(logging.WARNING)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
