"""What a run saves is what it can read."""

import datetime
import enum
import pickle
from collections import Counter, OrderedDict, defaultdict, namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler import OneCycleLR
from torch import nn

from mmoverlock.utils.checkpoint import read_checkpoint
from mmoverlock.utils.plain import same_data, to_plain


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):
    pass


Point = namedtuple('Point', 'x y')

CASES = {
    'config dict': (ConfigDict(a=dict(b=[dict(c=1)])), dict(a=dict(b=[dict(c=1)]))),
    'config': (Config(dict(a=dict(b=1))), dict(a=dict(b=1))),
    'default dict': (defaultdict(list, a=[1]), dict(a=[1])),
    'counter': (Counter('aab'), dict(a=2, b=1)),
    'named tuple': (Point(1, [np.int64(2)]), (1, [2])),
    'numpy scalars': ([np.float32(0.5), np.int64(2), np.bool_(True), np.str_('a')],
                      [0.5, 2, True, 'a']),
    'numpy keys': ({np.int64(1): 2, Colour.RED: Level.HIGH}, {1: 3}),
    'objects in an array': (np.array([dict(a=1), None], dtype=object), [dict(a=1), None]),
    'enums': ([Colour.RED, Level.HIGH], [1, 3]),
    'paths': ([Path('a/b')], ['a/b']),
    'sets': ([{1, 2}, frozenset('a')], [{1, 2}, {'a'}]),
    'dates': (datetime.date(2024, 1, 2), '2024-01-02'),
    'subclass of str': (Name('a'), 'a'),
}  # fmt: skip


@pytest.mark.parametrize('name', CASES)
def test_becomes_plain_and_is_read_back(tmp_path, name):
    value, expected = CASES[name]
    plain = to_plain(value)
    assert plain == expected and type(plain) is type(expected)
    torch.save(dict(weight=torch.ones(1), extra=plain), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['extra'] == expected
    assert pickle.dumps(CASES[name][0])  # still what it was


def test_what_is_plain_stays_as_it_is():
    state = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).state_dict()
    data = [
        state, np.zeros(3), (1, 'a', None, 1.5, b'x', 1j), torch.Size([1]), torch.float16,
        torch.device('cpu'), HistoryBuffer([1.0], [1]), OrderedDict(a=1),
    ]  # fmt: skip
    for value in data:
        assert to_plain(value) is value


def test_a_state_dict_keeps_the_versions_of_its_modules():
    state = nn.BatchNorm1d(2).state_dict()
    versions = state._metadata
    state['_extra_state'] = ConfigDict(a=1)
    plain = to_plain(state)
    assert type(plain['_extra_state']) is dict and plain._metadata is versions


def test_scheduler_is_kept():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    state = OneCycleLR(optimizer, eta_max=0.1, total_steps=8, by_epoch=False).state_dict()
    assert to_plain(state).keys() == state.keys()


def test_what_nobody_could_read_is_left_out(caplog, monkeypatch):
    lines = []
    monkeypatch.setattr('mmoverlock.utils.plain.print_log', lambda text, **_: lines.append(text))
    data = dict(hook=dict(function=len, lock=object(), kept=1), items=[1, nn.ReLU()])
    assert to_plain(data) == dict(hook=dict(kept=1), items=[1, None])
    assert [line.split(' is of ')[0] for line in lines] == [
        f'not saved: {name}' for name in ('hook.function', 'hook.lock', 'items[1]')
    ]


def test_same_data():
    one = dict(classes=('a', 'b'), palette=np.zeros((2, 3)), t=torch.ones(2))
    other = ConfigDict(classes=['a', 'b'], palette=[[0, 0, 0]] * 2, t=torch.ones(2))
    assert same_data(one, other)
    for key, value in dict(classes=('a',), palette=np.ones((2, 3)), more=1).items():
        assert not same_data({**one, key: value}, one)
