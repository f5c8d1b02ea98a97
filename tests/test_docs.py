"""What the documentation names is there, and what is there is documented."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import mmcv
import mmcv._ext as operators
import pytest

from mmoverlock.analysis.catalog import NAMES
from mmoverlock.cli.main import COMMANDS
from mmoverlock.datasets.digits_scenes_layouts import LAYOUTS
from mmoverlock.ops.dispatch import OPERATORS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').rglob('*.md'))]
FOLDERS = 'benchmarks|configs|docs|mmoverlock|tests|tools'
PATH = re.compile(rf'(?<![\w/.(-])(?:{FOLDERS})/[\w./-]*\.(?:py|sh|md|yml)\b')


def path_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize('page', PAGES, ids=path_of)
def test_files_that_a_page_names_exist(page):
    """Links are checked when the site is built. A file yet to be added is named without its folder."""
    names = set(PATH.findall(page.read_text(encoding='utf-8')))
    assert sorted(name for name in names if not (ROOT / name).exists()) == []


def test_files_that_pages_quote_are_as_quoted():
    text = '\n'.join(page.read_text(encoding='utf-8') for page in PAGES)
    quotes = re.findall(r'`(\S+/\S+\.py)`:\n\n```python\n(.*?)```', text, re.DOTALL)
    assert quotes
    for name, quote in quotes:
        assert (ROOT / name).read_text(encoding='utf-8') == quote, name


@pytest.mark.parametrize('command', COMMANDS)
def test_every_option_is_documented(command, capsys):
    with pytest.raises(SystemExit):
        import_module(f'mmoverlock.cli.{command}').main(['--help'], command)
    options = set(re.findall(r'(?<![\w-])--[\w-]+', capsys.readouterr().out))
    pages = (ROOT / 'docs/reference/cli.md').read_text(encoding='utf-8')
    assert sorted(option for option in options if f'`{option}' not in pages) == []


def test_every_analysis_is_documented():
    guide, options = ('docs/guides/analyze.md', 'docs/reference/cli.md')
    for page, text in ((guide, '| `{}` |'), (options, '`{}`')):
        page = (ROOT / page).read_text(encoding='utf-8')
        assert [name for name in NAMES if text.format(name) not in page] == []


def test_every_operator_is_documented():
    page = (ROOT / 'docs/concepts/operators.md').read_text(encoding='utf-8')
    names = {name.removesuffix('_backward') for name in OPERATORS}
    assert sorted(name for name in names if f'| `{name}` |' not in page) == []


def test_every_layout_of_the_digits_scenes_is_documented():
    page = (ROOT / 'docs/reference/digits_scenes.md').read_text(encoding='utf-8')
    assert sorted(name for name in LAYOUTS if f'| `{name}` |' not in page) == []


def test_every_environment_variable_is_documented():
    source = (ROOT / 'mmoverlock/environment.py').read_text(encoding='utf-8')
    page = (ROOT / 'docs/reference/environment.md').read_text(encoding='utf-8')
    names = set(re.findall(r"'([A-Z][A-Z0-9]*_[A-Z0-9_]+)'", source))
    assert names and sorted(name for name in names if f'`{name}`' not in page) == []


def test_every_operator_of_mmcv_is_documented():
    """By the module of mmcv.ops that loads it: either supplied or not, and `nms` both."""
    loads = re.compile(r"load_ext\(\s*'_ext',\s*\[(.*?)\]", re.DOTALL)
    supplied, missing = set(), set()
    for module in (Path(mmcv.__file__).parent / 'ops').glob('*.py'):
        for loaded in loads.findall(module.read_text(encoding='utf-8')):
            for name in re.findall(r"'(\w+)'", loaded):
                (supplied if name in vars(operators) else missing).add(module.stem)
    page = (ROOT / 'docs/reference/mmcv_operators.md').read_text(encoding='utf-8')
    documented = [
        set(re.findall(r'`(\w+)`', ' '.join(re.findall(r'^\| (`.*?) \|', part, re.MULTILINE))))
        for part in page.split('## What there is not')
    ]
    assert documented == [supplied, missing]
