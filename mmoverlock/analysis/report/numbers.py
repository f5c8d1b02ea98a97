"""Figures as they are read: no more digits than mean something, thousands set apart."""

import math
from collections.abc import Sequence

from ..section import Cell

NONE = '–'
_GAP = '\u202f'  # a narrow space at which no line breaks


def is_number(cell: Cell) -> bool:
    return isinstance(cell, (int, float)) and not isinstance(cell, bool)


def format_cells(cells: Sequence[Cell]) -> list[str]:
    """What is shown of the cells of a column.

    All its fractions have as many decimals as give the largest three significant digits. Of a value
    that is 0 only in these digits is said what it lies below: '< 0.001'.
    """
    floats = [abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell)]
    decimals = _decimals(max(floats, default=0.0))
    return [_format(cell, decimals) for cell in cells]


def _decimals(largest: float) -> int:
    if largest == 0 or 0.1 <= largest <= 1:
        return 3  # 1.000 beside 0.585
    return min(max(2 - math.floor(math.log10(largest)), 0), 6)


def _format(cell: Cell, decimals: int) -> str:
    if cell is None:
        return NONE
    if isinstance(cell, bool):
        return 'yes' if cell else 'no'
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float) and not math.isfinite(cell):
        return NONE if math.isnan(cell) else '∞' if cell > 0 else '−∞'
    text = f'{cell:,.{decimals if isinstance(cell, float) else 0}f}'
    if cell and not float(text.replace(',', '')):
        least = f'{10**-decimals:.{decimals}f}'
        return f'<{_GAP}{least}' if cell > 0 else f'>{_GAP}−{least}'
    if len(text.partition('.')[0].lstrip('-')) == len('9,999'):
        text = text.replace(',', '')  # four digits stay together
    return text.replace(',', _GAP).replace('-', '−', text.startswith('-'))
