"""Lay out and verify the data sets of the catalogue: what tools/prepare_data.py calls.

Nothing is downloaded, deleted or overwritten. Archives that lie in the folder are unpacked there;
files that exist are left alone.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from .catalog import CATALOG, Archive
from .folders import read_class_ids
from .unpack import unpack
from .verify import finish, verify


def prepare(name: str, root: str | Path | None = None, check: bool = False, **options: Any) -> None:
    """Unpack or make a data set if it is not there yet, and verify it.

    Args:
        name: A key of :data:`CATALOG`.
        root: Its folder; by default the catalogue's, with the `layout` of the options added.
        check: Only verify, and decode every image.
        **options: Those of the row in the catalogue.

    Raises:
        ValueError: an archive is missing or damaged, or the data set is not as it should be.
    """
    row = CATALOG[name]
    if root is None and options.get('layout'):
        root = f'{row.root}_{options["layout"]}'
    root = Path(root or row.root or '')
    if not check:
        for archive in row.archives:
            _unpack(archive, root)
    if row.make:
        row.check(root) if check else row.make(root, **options)
        return
    number = options.get('num_classes')
    if options.get('class_list'):
        number = len(read_class_ids(Path(options['class_list'])))
    cfg = dict(row.config, **options)
    if row.root:
        cfg['data_root'] = str(root)
    problems = []
    for split, expected in row.splits.items():
        expected = expected if number is None else replace(expected, classes=number)
        problems += verify(dict(cfg, split=split), expected, decode=check)
    finish(problems)


def _unpack(archive: Archive, root: Path) -> None:
    """Unpack the archive if it lies in `root`; else what it holds must be there."""
    if archive.unless and (root / archive.unless).is_dir():
        return
    path = root / archive.name
    if path.is_file():
        number = unpack(path, root, archive.place(root))
        print_log(f'{archive.name}: {number} files written to {root}', logger='current')
    elif not (root / archive.holds).is_dir():
        raise ValueError(
            f"neither '{root / archive.holds}' nor the archive '{path}' exists: "
            f'download {archive.name} ({archive.url}) into {root} and run this again'
        )
