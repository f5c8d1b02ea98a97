"""The report's text: escaped, whole, with what is missing named."""

import math
import re
from html.parser import HTMLParser

import pytest

from mmoverlock.analysis.report import write_report
from mmoverlock.analysis.report.html import _table, render
from mmoverlock.analysis.section import Table

from .conftest import NAMES


class Page(HTMLParser):
    """The texts of a page by the element that they stand in, and its elements' attributes."""

    def __init__(self, text: str):
        super().__init__()
        self.texts, self.elements, self.stack = [], [], ['']
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ('meta', 'link', 'img', 'input'):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.stack[-1], data.strip()))


@pytest.fixture(scope='module')
def page(record) -> Page:
    return Page(render(record))


def test_names_are_texts(page):
    assert page.stack == ['']  # every element ends
    texts = {text for tag, text in page.texts if tag == 'th'}
    assert {*NAMES} <= texts
    assert ('h1', 'my & own') in page.texts
    assert ('code', "mmoverlock analyze 'my & own.py' epoch_9.pth") in page.texts
    assert ('p', 'Beware of <script>alert(1)</script>.') in page.texts
    assert [tag for tag, _ in page.elements].count('script') == 1


def test_sections_are_in_the_order_of_the_report(page):
    found = [attributes['id'] for tag, attributes in page.elements if tag == 'section']
    assert found == ['eval', 'confusion', 'speed']
    links = [attributes['href'] for tag, attributes in page.elements if tag == 'a']
    assert links == ['#eval', '#confusion', '#speed']


def test_facts_are_tiles(page):
    for text in ('93.5 %', 'top-1', '0.585', '12\u202f345', '数字 7'):
        assert {('dd', text), ('dt', text)} & {*page.texts}


def test_only_one_section_comes_from_another_call(page):
    assert [text for _, text in page.texts].count('a GPU') == 1
    assert [text for _, text in page.texts].count('a CPU, 2 threads') == 1


def test_nothing_comes_from_elsewhere(page):
    sources = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ('src', 'href')
    ]
    assert len(sources) > 3
    assert all(value.startswith(('#', 'data:')) for value in sources)
    assert not re.search(r'url\(|@import|fetch\(', ' '.join(text for _, text in page.texts))


@pytest.mark.parametrize('content', [None, b'', b'no picture', b'\x89PNG\r\n\x1a\n cut'])
def test_a_picture_that_cannot_be_read_is_named(record, content):
    lost = record.folder / 'lost.png'
    if content is not None:
        lost.write_bytes(content)
    try:
        page = Page(render(record))
    finally:
        lost.unlink(missing_ok=True)
    assert ('p', 'The picture lost.png is missing from the folder, or damaged.') in page.texts
    alts = [attributes['alt'] for tag, attributes in page.elements if tag == 'img']
    assert alts == ['Wide', 'Confusion matrix']


def test_files_are_listed_with_their_sizes(page, record):
    size = (record.folder / 'matrix.png').stat().st_size
    assert ('code', 'matrix.png') in page.texts
    assert ('span', f'{size / 1000:.1f} kB') in page.texts
    assert ('code', 'gone.json') in page.texts and ('span', 'missing') in page.texts


def test_it_is_written_as_utf8(record, tmp_path):
    write_report(record, tmp_path / 'report.html')
    assert '数字 7' in (tmp_path / 'report.html').read_bytes().decode()


def test_nan_is_no_value():
    rows = _table(Table('t', ['class', 'AP'], [['x', math.nan], ['y', 0.5]]))['rows']
    assert [cell[:2] for _, cell in rows] == [(None, '–'), (0.5, '0.500')]
