"""The report as a reader uses it, in a headless Chromium."""

import os
import shutil

import pytest

from mmoverlock.analysis.report import write_report

playwright = pytest.importorskip('playwright.sync_api')

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
COLUMN = 'cells => cells.map(cell => cell.textContent)'
# The contrast (WCAG 2.2, 1 to 21) of an element's text with what is behind it.
CONTRAST = """element => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  let behind = element;
  while (behind && parse(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const pair = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(parse).map(luminance);
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}"""
TEXTS = (
    'h1', '.kind', 'header dt', 'header dd', 'header code', '#theme', 'nav a', 'h2', '.own p', '.tiles dt',
    '.tiles dd', '.text', 'figcaption p', '.missing', 'thead button', 'tbody th', 'tbody td', '[data-none]',
    '.filter output', '.files span',
)  # fmt: skip


@pytest.fixture(scope='module')
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f'none of {", ".join(BROWSERS)} is installed')
    as_root = hasattr(os, 'geteuid') and os.geteuid() == 0
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path=path, args=['--no-sandbox'] if as_root else []
        )
        yield browser
        browser.close()


@pytest.fixture(scope='module')
def report(record, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp('a report') / 'report.html'
    write_report(record, path)
    return path.as_uri()


@pytest.fixture
def open_report(browser, report):
    """`open_report(width=1440, color_scheme='light')`: a page, in which nothing may go wrong."""
    wrong, pages = [], []

    def open_report(width: int = 1440, color_scheme: str = 'light'):
        page = browser.new_page(
            viewport=dict(width=width, height=900),
            color_scheme=color_scheme,
            service_workers='block',
        )
        pages.append(page)
        page.on('console', lambda message: wrong.append(message.text))
        page.on('pageerror', lambda error: wrong.append(str(error)))
        page.on('requestfailed', lambda request: wrong.append(request.url[:200]))
        page.on(
            'request',
            lambda request: request.url.startswith(('data:', report)) or wrong.append(request.url),
        )
        page.goto(report)
        return page

    yield open_report
    for page in pages:
        page.close()
    assert wrong == []


def test_every_picture_has_a_size(open_report):
    page = open_report()
    sizes = page.locator('main img').evaluate_all(
        'images => images.map(one => [one.naturalWidth, one.naturalHeight, one.clientWidth])'
    )
    assert [tuple(size[:2]) for size in sizes] == [(1600, 300), (900, 800)]
    assert all(shown > 300 for _, _, shown in sizes)


def test_tables_sort_by_numbers_and_names(open_report):
    page = open_report()
    table = page.get_by_role('region', name='Pairs')
    images, pair = table.locator('thead th').nth(1), table.locator('thead th').nth(0)
    cells = table.locator('tbody td')
    orders = []
    for header in (images, images, pair, pair):
        header.get_by_role('button').click()
        orders.append((header.get_attribute('aria-sort'), cells.evaluate_all(COLUMN)))
    assert orders == [
        ('ascending', ['9', '10', '100', '–']),
        ('descending', ['100', '10', '9', '–']),
        ('ascending', ['9', '100', '10', '–']),
        ('descending', ['–', '10', '100', '9']),
    ]
    assert images.get_attribute('aria-sort') is None


def test_a_long_table_scrolls_and_is_filtered(open_report):
    page = open_report()
    box = page.get_by_role('region', name='Classes')
    assert box.locator('tbody tr').count() == 1000
    assert box.bounding_box()['height'] < 600
    box.evaluate('box => box.scrollTo(0, 5000)')
    head, outside = box.locator('thead').bounding_box(), box.bounding_box()
    assert abs(box.locator('thead th').first.bounding_box()['y'] - outside['y']) < 2 and head
    field = page.get_by_label('Filter the rows of Classes')
    field.fill('数字')
    assert box.locator('tbody tr:visible').count() == 1
    assert page.locator('output').inner_text() == '1 of 1000 rows'
    field.fill('')
    box.locator('thead button').nth(1).click()
    shown = box.locator('tbody tr td:nth-child(2)').evaluate_all(COLUMN)
    assert (shown[0], shown[-1]) == ('<\u202f0.001', '–')
    values = [*map(float, shown[1:-1])]
    assert values == sorted(values) and values[-1] > 0.99


def test_pictures_open_large(open_report):
    page = open_report()
    dialog = page.locator('dialog')
    assert not dialog.is_visible()
    page.locator('.picture').nth(1).click()
    large = dialog.locator('img').bounding_box()
    assert dialog.is_visible() and large['width'] > 1200
    assert dialog.locator('p').inner_text() == 'Confusion matrix'
    page.keyboard.press('Escape')
    assert not dialog.is_visible()
    page.locator('.picture').nth(0).focus()
    page.keyboard.press('Enter')
    assert dialog.is_visible()
    dialog.get_by_role('button', name='Close').click()
    assert not dialog.is_visible()


@pytest.mark.parametrize('width', [375, 768, 1440])
def test_nothing_is_wider_than_the_window(open_report, width):
    page = open_report(width)
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    right = 'element => element.getBoundingClientRect().right'
    for place in ('.tiles dd', '.box', '.picture', 'header dd'):
        edges = page.locator(place).evaluate_all(f'all => all.map({right})')
        assert max(edges) <= width, place


@pytest.mark.parametrize('color_scheme', ['light', 'dark'])
def test_texts_stand_out(open_report, color_scheme):
    """As the system has it, and after the button has changed it."""
    page = open_report(color_scheme=color_scheme)
    seen = []
    for _ in range(2):
        for place in TEXTS:
            assert page.locator(place).first.evaluate(CONTRAST) >= 4.5, place
        seen.append(page.evaluate('getComputedStyle(document.body).backgroundColor'))
        page.locator('#theme').click()
    white, dark = 'rgb(250, 250, 250)', 'rgb(19, 21, 24)'
    assert seen == ([white, dark] if color_scheme == 'light' else [dark, white])


def test_a_printed_report_is_light_and_whole(open_report):
    page = open_report(color_scheme='dark')
    page.emulate_media(media='print')
    assert page.evaluate('getComputedStyle(document.body).backgroundColor') == 'rgb(250, 250, 250)'
    assert not page.locator('nav').is_visible()
    assert page.get_by_role('region', name='Classes').bounding_box()['height'] > 10_000
