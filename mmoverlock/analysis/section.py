"""What an analysis found, as it goes into the report: facts, tables, pictures, files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Table:
    """A table; the first column names its rows.

    Attributes:
        title: Above it.
        columns: Their names.
        rows: As many cells as there are columns; None or NaN where there is no value.
        note: A sentence or two below the title: what the columns mean.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ''


@dataclass(frozen=True)
class Picture:
    """A PNG file in the output folder.

    Attributes:
        title: Above it.
        file: Its name.
        note: A sentence or two: how to read it.
    """

    title: str
    file: str
    note: str = ''


@dataclass(frozen=True)
class Section:
    """What one analysis found.

    Attributes:
        title: The section's heading.
        facts: The figures to see at once, by name.
        text: Paragraphs: what was done, and what to beware of.
        tables: Of the report.
        pictures: Likewise.
        files: Names of the other files that were written into the output folder.
    """

    title: str
    facts: Mapping[str, Cell] = field(default_factory=dict)
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    files: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Section:
        """What :meth:`to_dict` gave, read from a JSON file."""
        tables = [Table(**table) for table in data['tables']]
        pictures = [Picture(**picture) for picture in data['pictures']]
        return cls(**{**data, 'tables': tables, 'pictures': pictures})
