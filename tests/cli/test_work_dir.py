"""What an earlier run left in the work_dir survives a command that is refused."""

import pytest

from mmoverlock.cli import work_dir
from mmoverlock.datasets.formats.files import replace_text


@pytest.mark.parametrize('linked', [True, False])
def test_data_of_an_earlier_run_come_back_after_an_error(tmp_path, monkeypatch, linked):
    def no_link(source, target):
        raise PermissionError('links are not supported')

    if not linked:
        monkeypatch.setattr(work_dir.os, 'link', no_link)
    folder = tmp_path / 'data'
    files = [folder / name for name in ('instances_val.json', 'written.txt', 'train/a b/1.png')]
    for path in files:
        replace_text(path, 'before')
    with pytest.raises(ValueError, match='of the new data'):
        with work_dir.data_kept_on_error(folder):
            for path in files:
                replace_text(path, 'after')
            raise ValueError('of the new data')
    assert [path.read_text() for path in files] == ['before'] * 3
    with work_dir.data_kept_on_error(folder):
        replace_text(files[0], 'after')
    assert files[0].read_text() == 'after'
    assert [path.name for path in tmp_path.iterdir()] == ['data']
