"""Warnings of what also runs without MMEngine."""

import logging
import sys


def warn(message: str) -> None:
    """Log a warning by MMEngine's current logger, or by Python's where MMEngine is not loaded."""
    mmengine = sys.modules.get('mmengine.logging')
    if mmengine:
        mmengine.print_log(message, logger='current', level=logging.WARNING)
    else:
        logging.getLogger('mmoverlock').warning(message)
