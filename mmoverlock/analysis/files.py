"""Arrays in NPZ files."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmoverlock.utils.files import write_whole


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays, or what becomes arrays, by their names; readable without pickle."""
    data = io.BytesIO()
    np.savez_compressed(
        data, allow_pickle=False, **{key: np.asarray(arrays[key]) for key in arrays}
    )
    write_whole(path, data.getvalue())
