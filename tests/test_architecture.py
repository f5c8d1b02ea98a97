"""Rules of the house that import-linter cannot see; its own contracts are in pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import mmoverlock

PACKAGE = Path(mmoverlock.__file__).parent
FLAG = re.compile(r'(?<![\w-])--[a-z]')
SWITCHES = ('torch.backends.',)  # PyTorch's documented settings


def modules(room: str) -> Iterator[tuple[str, ast.Module]]:
    """Every module of the package outside a room: its path in the package, and its tree."""
    for path in sorted(PACKAGE.rglob('*.py')):
        parts = path.relative_to(PACKAGE).parts
        if parts[0] not in (room, '.mim'):
            yield '/'.join(parts), ast.parse(path.read_text(encoding='utf-8'))


def docstrings(tree: ast.Module) -> set[int]:
    """Ids of the nodes that are docstrings."""
    bodies = [node.body for node in ast.walk(tree) if hasattr(node, 'body')]
    first = [body[0] for body in bodies if isinstance(body, list) and body]
    return {id(one.value) for one in first if isinstance(one, ast.Expr)}


def test_only_the_command_line_knows_flags():
    found = []
    for name, tree in modules('cli'):
        skip = docstrings(tree)
        for node in ast.walk(tree):
            text = getattr(node, 'value', None) if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and id(node) not in skip and FLAG.search(text):
                found.append((name, text))
    commands = ('compat/mmcv_ext/operators.py', 'datasets/catalog.py', 'checks/installation/')
    styles = ('demo/page.py',)  # CSS has variables that look like flags
    assert [one for one in found if not one[0].startswith(commands + styles)] == []


def foreign(tree: ast.Module) -> dict[str, str]:
    """What each name that is imported from another package stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                whole = one.name if one.asname else one.name.partition('.')[0]
                names[one.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update(
                {one.asname or one.name: f'{node.module}.{one.name}' for one in node.names}
            )
    own = {'mmoverlock', '__future__', *sys.stdlib_module_names}
    return {name: whole for name, whole in names.items() if whole.partition('.')[0] not in own}


def targets(tree: ast.Module) -> Iterator[str]:
    """What attributes and items are assigned to or deleted, as dotted text."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            yield ast.unparse(node)
        elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') in ('setattr', 'delattr'):
            yield f'{ast.unparse(node.args[0])}.?'


def test_only_compat_assigns_to_another_package():
    found, inside = [], []
    for name, tree in modules('nothing'):
        names = foreign(tree)
        for target in targets(tree):
            root = re.match(r'\w*', target)[0]
            whole = names.get(root, '') + target.removeprefix(root)
            if root in names and not whole.startswith(SWITCHES):
                (inside if name.startswith('compat/') else found).append((name, target))
    assert found == []
    assert len(inside) >= 4  # of compat.install: the search above finds such assignments
