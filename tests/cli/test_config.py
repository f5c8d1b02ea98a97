"""A command's config: its work_dir and --cfg-options."""

from mmoverlock.cli.config import load_config


def test_work_dir_and_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.py').write_text('model = dict(type="A", parts=[dict(a=1), dict(a=2)])')
    cfg = load_config('mine.py', {'model.parts.1.a': 5, 'work_dir': 'there'})
    assert cfg.model.parts == [dict(a=1), dict(a=5)] and cfg.work_dir == 'there'
    assert load_config('mine.py').work_dir == './work_dirs/mine'
    assert load_config('mine.py', work_dir='here').work_dir == 'here'
