"""Every command of docs/guides/finetune.md, run in its order with small numbers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from ..user import ROOT

GUIDE = ROOT / 'docs/guides/finetune.md'
# The page's numbers and, of networks whose weights would be downloaded, the smallest of their kind.
SMALLER = [
    (r'--num-train \d+', '--num-train 24'),
    (r'--num-val \d+', '--num-val 6'),
    (r'max_epochs=\d+', 'max_epochs=1'),
    (r'val_interval=\d+', 'val_interval=1'),
    (r'epoch_\d+\.pth', 'epoch_1.pth'),
    (r'((?:overlock|upernet|faster|mask)[\w-]*overlock[_-]|overlock-)(?:xt|t)_finetune', r'\1xxt_finetune'),
    (r'zip\(digits\.images,', 'zip(digits.images[:120],'),
]  # fmt: skip
LAST = '## Settings'


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The language and the content of every code block."""
    yield from re.findall(r'^```(\w+)\n(.*?)^```', text, re.DOTALL | re.MULTILINE)


def commands(block: str) -> Iterator[str]:
    """The commands of a block: lines that are joined by backslashes, and here-documents."""
    lines = iter(block.splitlines())
    for line in lines:
        if line.endswith("<<'END'"):
            yield '\n'.join([line, *iter(lambda: next(lines), 'END')])
            continue
        while line.endswith('\\'):
            line = line[:-1] + next(lines)
        if line.strip() and not line.startswith('#'):
            yield line


def smaller(text: str) -> str:
    for pattern, number in SMALLER:
        text = re.sub(pattern, number, text)
    return text


def test_smaller():
    """Each of the substitutions is needed."""
    text = GUIDE.read_text()
    assert [pattern for pattern, _ in SMALLER if not re.search(pattern, text)] == []
    assert not re.search(r'overlock[_-](xt|t|s|b)_finetune', smaller(text))


def test_every_command(tool, tmp_path, monkeypatch):
    """In one process, so that the libraries are imported once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    text = smaller(GUIDE.read_text().partition(LAST)[0])
    found = list(blocks(text))
    stand_ins = next(block for block in found if "<<'END'" in block[1])  # named before it is made
    written = 0
    for language, block in [stand_ins, *found]:
        if language == 'python':
            name = re.search(r'`(\w+\.py)`:\n\n```python\n' + re.escape(block), text)
            Path(name[1]).write_text(block)
            continue
        for command in commands(block) if language == 'bash' else ():
            if command.startswith('python - <<'):
                exec(compile(command.partition('\n')[2], 'guide', 'exec'), {})
                continue
            program, path, *arguments = shlex.split(command)
            assert program == 'python' and Path(path).parent == Path('tools'), command
            if path == 'tools/train.py':
                arguments = quick(arguments)
            before = {*tmp_path.rglob('*')}
            tool(Path(path).stem)(arguments)
            written += len({*tmp_path.rglob('*')} - before) > 0
    assert written > 10


def quick(arguments: list[str]) -> list[str]:
    """Without worker processes, for one epoch, whatever the command leaves to the config."""
    options = [
        f'{split}_dataloader.{option}' for split in ('train', 'val', 'test')
        for option in ('num_workers=0', 'persistent_workers=False')
    ]  # fmt: skip
    options += ['load_from=None'] if not any('load_from' in one for one in arguments) else []
    options += ['train_cfg.max_epochs=1']
    if '--cfg-options' not in arguments:
        return [*arguments, '--cfg-options', *options]
    return [*arguments, *options]
