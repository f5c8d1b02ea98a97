"""analysis.json: what earlier calls found is kept, other folders are left alone."""

import json
from types import SimpleNamespace

import pytest

from mmoverlock.analysis.record import FILE, Record
from mmoverlock.analysis.section import Picture, Section, Table

SECTION = Section(
    'Errors',
    {'share': 0.5, 'worst': '七 & <8>'},
    ['A text.'],
    [Table('Classes', ['class', 'AP'], [['a', None], ['b', float('nan')]], 'A note.')],
    [Picture('Worst', 'worst.png', 'Another.')],
    ['errors.json'],
)


@pytest.fixture
def subject():
    return SimpleNamespace(
        cfg=SimpleNamespace(filename='my.py'), task='detection', dataset=[0] * 9, indices=[1, 5],
        classes=('a', 'b'), device='cpu',
    )  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path) -> str:
    (tmp_path / 'a.pth').write_bytes(b'weights')
    return str(tmp_path / 'a.pth')


def test_sections_of_two_calls_come_together(tmp_path, checkpoint, subject):
    folder = tmp_path / 'new' / 'folder'
    first = Record(folder, checkpoint)
    assert not folder.parent.exists()
    first.add('speed', SECTION, subject, 'one')
    second = Record(folder, checkpoint)
    second.add('eval', Section('Evaluation'), subject, 'two')
    third = Record(folder, checkpoint)
    assert third.names() == ['eval', 'speed']
    assert [third.facts[name]['command'] for name in third.names()] == ['two', 'one']
    facts = third.facts['speed']
    assert (facts['images'], facts['images_in_the_set'], facts['classes']) == (2, 9, 2)
    assert third.sections['speed'].facts == SECTION.facts
    (table,) = third.sections['speed'].tables
    assert [*map(tuple, table.rows)] == [('a', None), ('b', None)]  # JSON has no NaN
    assert third.sections['speed'].pictures == [*SECTION.pictures]


def test_a_new_section_replaces_the_old_one(tmp_path, checkpoint, subject):
    for title in ('old', 'new'):
        Record(tmp_path / 'out', checkpoint).add('erf', Section(title), subject, '')
    record = Record(tmp_path / 'out', checkpoint)
    assert [one.title for one in record.sections.values()] == ['new']


def test_the_checkpoint_may_move_but_not_change(tmp_path, checkpoint, subject):
    Record(tmp_path / 'out', checkpoint).add('erf', SECTION, subject, '')
    (tmp_path / 'copy.pth').write_bytes(b'weights')
    assert Record(tmp_path / 'out', str(tmp_path / 'copy.pth')).names() == ['erf']
    (tmp_path / 'copy.pth').write_bytes(b'others')
    with pytest.raises(ValueError, match='another checkpoint.*a.pth.*: choose another folder'):
        Record(tmp_path / 'out', str(tmp_path / 'copy.pth'))


@pytest.mark.parametrize('content', ['', '[]', '{"sha256": 1}', '{"sha256": 1, "analyses": [2]}'])
def test_a_damaged_file_is_named(tmp_path, checkpoint, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=f"output_dir: '.*{FILE}' is damaged: remove it"):
        Record(tmp_path, checkpoint)


def test_an_analysis_of_a_later_version_is_passed_over(tmp_path, checkpoint, subject):
    Record(tmp_path / 'out', checkpoint).add('erf', SECTION, subject, '')
    data = json.loads((tmp_path / 'out' / FILE).read_text())
    data['analyses']['robustness'] = data['analyses']['erf']
    (tmp_path / 'out' / FILE).write_text(json.dumps(data))
    assert Record(tmp_path / 'out', checkpoint).names() == ['erf']


def test_other_folders_are_left_alone(tmp_path, checkpoint):
    with pytest.raises(ValueError, match=f'is not empty, and holds no {FILE}'):
        Record(tmp_path, checkpoint)
    for folder in ('a.pth', 'a.pth/below'):
        with pytest.raises(OSError, match=f"'.*{folder}' cannot be made: '.*a.pth' is a file"):
            Record(tmp_path / folder, checkpoint)
