"""The report of a record as one HTML file."""

from pathlib import Path

from mmoverlock.utils.files import write_whole

from ..record import Record


def write_report(record: Record, path: Path) -> None:
    """Write all sections of a record as an HTML file."""
    write_whole(path, f'<h1>{record.checkpoint}</h1>'.encode())
