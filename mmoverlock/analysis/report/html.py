"""The report of a record as one HTML file."""

from pathlib import Path
from typing import Any

from mmoverlock.utils.files import write_whole

from ..extras import extra
from ..record import Record
from ..section import Cell, Section, Table
from .embed import embed, file_size
from .numbers import format_cells, is_number
from .origin import describe, split_origins

_TEMPLATE = Path(__file__).parent / 'template'
_BROAD = 18  # characters, from which a fact has the room of two
_LONG = 20  # rows, from which a table scrolls in a box and can be filtered


def write_report(record: Record, path: Path) -> None:
    """Write all sections of a record as an HTML file that holds its pictures, too.

    Pictures that are missing from the record's folder are named in their place.
    """
    write_whole(path, render(record).encode())


def render(record: Record) -> str:
    """The HTML of a record of one section or more."""
    jinja2 = extra('jinja2')
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    names = record.names()
    common, own = split_origins({name: describe(record.facts[name]) for name in names})
    sections = [
        dict(name=name, origin=own[name], **_section(record.sections[name], record.folder))
        for name in names
    ]
    title = Path(common['Config']).stem
    template = environment.get_template('report.html')
    return template.render(title=title, origin=common, sections=sections)


def _section(section: Section, folder: Path) -> dict[str, Any]:
    return dict(
        title=section.title,
        tiles=[_tile(name, value) for name, value in section.facts.items()],
        text=section.text,
        pictures=[embed(picture, folder) for picture in section.pictures],
        tables=[_table(table) for table in section.tables],
        files=[(name, file_size(folder / name)) for name in section.files],
    )


def _tile(name: str, value: Cell) -> dict[str, Any]:
    """A fact; one whose name ends in '(%)' shows its value as a percentage."""
    (text,) = format_cells([value])
    bare = name.removesuffix('(%)').rstrip()
    if bare != name and is_number(value):
        name, text = bare, f'{text} %'
    kind = '' if not isinstance(value, str) else 'words' if len(value) < _BROAD else 'words broad'
    return dict(name=name, text=text, kind=kind)


def _table(table: Table) -> dict[str, Any]:
    table_rows = [[None if cell != cell else cell for cell in row] for row in table.rows]  # NaN
    columns = list(zip(*table_rows, strict=True)) or [()] * len(table.columns)
    texts = zip(*map(format_cells, columns), strict=True)
    numeric = [all(is_number(cell) or cell is None for cell in column) for column in columns]
    return dict(
        title=table.title,
        note=table.note,
        columns=list(zip(table.columns, numeric, strict=True)),
        rows=[
            list(zip(row, text, numeric, strict=True))
            for row, text in zip(table_rows, texts, strict=True)
        ],
        is_long=len(table.rows) > _LONG,
    )
