"""Going through configs."""

import pytest

from mmoverlock.utils.config import as_list, each, walk

CFG = dict(type='A', parts=[dict(type='B'), 3, (dict(type='C', inner=dict(type='D')),)])


def test_walk_gives_every_dict_with_its_key():
    found = {key: part['type'] for key, part in walk(CFG, 'model')}
    expected = {'model': 'A', 'model.parts.0': 'B', 'model.parts.2.0': 'C'}
    assert found == {**expected, 'model.parts.2.0.inner': 'D'}
    assert [key for key, _ in walk(CFG)][1] == 'parts.0'


def test_walk_lets_a_dict_be_changed():
    cfg = dict(a=dict(_scope_='x', b=dict(_scope_='x')))
    for _, part in walk(cfg):
        part.pop('_scope_', None)
    assert cfg == dict(a=dict(b={}))


@pytest.mark.parametrize(
    ('value', 'keys'),
    [(None, []), (dict(a=1), ['key']), ([dict(a=1), dict(a=2)], ['key.0', 'key.1']), ((), [])],
)
def test_one_or_many(value, keys):
    assert [key for key, _ in each(value, 'key')] == keys
    assert [part for _, part in each(value, 'key')] == as_list(value)
