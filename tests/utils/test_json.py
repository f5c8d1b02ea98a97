"""What is written is JSON by the standard."""

import json
import math
from pathlib import Path

import numpy as np
import torch

from mmoverlock.utils.json import dumps


def strict(text: str):
    def fail(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=fail)


def test_every_value_is_plain():
    given = dict(
        nan=math.nan,
        deep=[dict(inf=-math.inf), (np.float32(0.25), np.int64(3), np.bool_(True))],
        array=np.array([[1.0, np.nan]]),
        tensor=torch.tensor([1.5, math.inf], dtype=torch.bfloat16),
        scalar=torch.tensor(2),
        double=np.float64('nan'),
        path=Path('a/b'),
        text='数',
        nothing=None,
    )
    assert strict(dumps(given | {3: {1}})) == {
        'nan': None,
        'deep': [dict(inf=None), [0.25, 3, True]],
        'array': [[1.0, None]],
        'tensor': [1.5, None],
        'scalar': 2,
        'double': None,
        'path': 'a/b',
        'text': '数',
        'nothing': None,
        '3': [1],
    }
