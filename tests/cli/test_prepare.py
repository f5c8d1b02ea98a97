"""tools/prepare_data.py on a folder of one's own data."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from mmoverlock.cli import inspect
from mmoverlock.datasets.catalog import CATALOG

from ..user import check, snapshot


@pytest.fixture
def folder(home, tmp_path, monkeypatch):
    """A folder with digits scenes in mine/ and class folders in classes/."""
    shutil.copytree(home / 'data/digits_scenes', tmp_path / 'mine')
    shutil.rmtree(tmp_path / 'mine/semantic')
    for index in range(10):
        for name in ('dark', 'light'):
            (tmp_path / 'classes' / name).mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(index).integers(0, 100, (40, 50, 3)) + 9 * (
                name == 'light'
            )
            Image.fromarray(noise.astype(np.uint8)).save(
                tmp_path / 'classes' / name / f'{index}.png'
            )
    (tmp_path / 'empty').mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(capsys) -> str:
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_reports_and_draws_without_changing_the_data(tool, folder, capsys):
    before = snapshot(folder / 'mine')
    for name in ('contact_sheet.jpg', 'contact_sheet_1.jpg'):
        tool('prepare_data')(['mine', '--check'])
        output = told(capsys)
        assert 'mine: COCO, boxes and masks, images: 4 train, 2 val, 10 classes' in output
        assert f'{name}: 4 training samples as mask_rcnn_overlock_t_finetune.py' in output
        with Image.open(folder / 'work_dirs/mine' / name) as sheet:
            assert sheet.width > sheet.height
    assert snapshot(folder / 'mine') == before
    assert {path.name for path in folder.iterdir()} == {'mine', 'classes', 'empty', 'work_dirs'}


@pytest.mark.parametrize(
    ('data', 'arguments', 'config'),
    [
        ('classes', [], 'overlock-xt_finetune.py'),
        ('mine', ['--config', 'fasterrcnn_overlock/faster-rcnn_overlock-t_finetune.py'], None),
        ('mine', ['--config', 'upernet_overlock/upernet_overlock-t_finetune.py'], None),
    ],
)
def test_task_and_pipeline_are_the_config_s(tool, folder, capsys, data, arguments, config):
    from ..user import ROOT

    config = config or arguments[1].rpartition('/')[2]
    arguments = [str(ROOT / 'configs' / one) if '/' in one else one for one in arguments]
    tool('prepare_data')([data, *arguments, '--out', 'sheets'])
    output = told(capsys)
    assert f'training samples as {config} delivers them' in output
    assert ('pixels' in output.partition('all')[0]) == ('upernet' in config)
    assert [path.name for path in (folder / 'sheets').iterdir()] == ['contact_sheet.jpg']


def test_every_default_config_exists():
    for kind in inspect._CONFIGS:
        assert inspect._default_config(kind).endswith(inspect._CONFIGS[kind])


def test_broken_pictures_are_listed(tool, folder, capsys):
    for name in ('0', '1'):
        path = folder / f'classes/dark/{name}.png'
        path.write_bytes(path.read_bytes()[:-500])
    before = snapshot(folder)
    with pytest.raises(SystemExit) as stop:
        tool('prepare_data')(['classes'])
    output = told(capsys)
    assert stop.value.code == 2
    assert "broken: 'dark/0.png': it is cut short\nbroken: 'dark/1.png': it is cut short" in output
    assert output.endswith("error: 'dark/0.png': it is cut short; and 1 more, see above\n")
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['no/folder'], "folder 'no/folder' does not exist"),
        (['nothing'], f"invalid choice: 'nothing' (choose from {next(iter(CATALOG))}, "),
        (['mine', '--seed', '1'], "--seed is no option of the folder 'mine'"),
        (['mine', '--root', 'mine'], "--root is no option of the folder 'mine'"),
        (['digits', '--config', 'a.py'], '--config is no option of digits'),
        (['mine', '--config', 'none.py'], "config 'none.py' does not exist"),
        (['mine', '--data-format', 'yolo'], 'has no data in a known format (looked for yolo: '),
        (['empty'], "'empty' has no data in a known format"),
    ],
)
def test_mistakes(tool, folder, capsys, arguments, message):
    check(tool, 'prepare_data', arguments, message, folder, capsys)


def test_name_of_a_known_data_set_wins(tool, folder, capsys):
    shutil.copytree('classes', 'tiny-imagenet')
    check(tool, 'prepare_data', ['tiny-imagenet'], 'download tiny-imagenet-200.zip', folder, capsys)
    tool('prepare_data')(['./tiny-imagenet'])  # a folder
    assert 'tiny-imagenet: class folders' in told(capsys)
