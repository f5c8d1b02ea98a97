"""Downloads from a server of this machine that breaks off, lies, or has no file."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmoverlock.utils import weights
from mmoverlock.utils.download import download
from mmoverlock.utils.weights import find_weights

CONTENT = bytes(range(256)) * 4000  # a megabyte
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    """Serves CONTENT under any name. Its attributes say how, and what it was asked for."""
    site = SimpleNamespace(
        content=CONTENT, tag='"one"', ranges=True, limit=None, length=True, kind='application/x',
        status=200, asked=[],
    )  # fmt: skip

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get('Range')
            site.asked.append(asked)
            start = 0
            if asked and site.ranges and self.headers.get('If-Range') == site.tag:
                start = int(re.fullmatch(r'bytes=(\d+)-', asked)[1])
            self.send_response(206 if start else site.status)
            if start:
                total = len(site.content)
                self.send_header('Content-Range', f'bytes {start}-{total - 1}/{total}')
            if site.length:
                self.send_header('Content-Length', str(len(site.content) - start))
            self.send_header('Content-Type', site.kind)
            if site.tag:
                self.send_header('ETag', site.tag)
            self.end_headers()
            end = None if site.limit is None else start + site.limit
            try:
                self.wfile.write(site.content[start:end])
            except ConnectionError:  # only the headers were wanted
                pass

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as served:
        threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True).start()
        site.url = f'http://127.0.0.1:{served.server_port}/file.pth'
        yield site
        served.shutdown()


def left(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_download(server, tmp_path):
    path = tmp_path / 'new/file.pth'
    download(server.url, path, len(CONTENT), HASH, progress=False)
    assert path.read_bytes() == CONTENT and left(path.parent) == ['file.pth']
    server.content = b'another'
    download(server.url, path, progress=False)
    assert path.read_bytes() == CONTENT and len(server.asked) == 1


def test_goes_on_after_breaks_within_a_call(server, tmp_path):
    server.limit = 300_000
    download(server.url, tmp_path / 'file.pth', sha256=HASH, progress=False)
    assert (tmp_path / 'file.pth').read_bytes() == CONTENT
    assert [one for one in server.asked if one] == [f'bytes={n}00000-' for n in (3, 6, 9)]


def break_off(server, path, at):
    """Leave a file of which the first bytes have come."""
    path.parent.mkdir(exist_ok=True)
    server.limit = at
    server.ranges = False  # every try brings the same
    with pytest.raises(ValueError, match=f'broke off after {at} of {len(CONTENT)} bytes; the next'):
        download(server.url, path, progress=False)
    assert not path.exists() and len(left(path.parent)) == 2  # the part, and the lock
    server.limit, server.ranges, server.asked = None, True, []


def test_the_next_call_goes_on(server, tmp_path):
    break_off(server, tmp_path / 'file.pth', 400_000)
    download(server.url, tmp_path / 'file.pth', sha256=HASH, progress=False)
    assert (tmp_path / 'file.pth').read_bytes() == CONTENT and left(tmp_path) == ['file.pth']
    assert server.asked == [None, 'bytes=400000-']


def test_starts_anew_where_parts_are_not_sent(server, tmp_path):
    break_off(server, tmp_path / 'file.pth', 400_000)
    server.ranges = False
    download(server.url, tmp_path / 'file.pth', sha256=HASH, progress=False)
    assert left(tmp_path) == ['file.pth']


@pytest.mark.parametrize('tag', ['"two"', None])
def test_starts_anew_if_it_may_be_another_file(tag, server, tmp_path):
    break_off(server, tmp_path / 'file.pth', 400_000)
    server.content, server.tag = CONTENT[::-1], tag
    download(server.url, tmp_path / 'file.pth', progress=False)
    assert (tmp_path / 'file.pth').read_bytes() == CONTENT[::-1] and left(tmp_path) == ['file.pth']


@pytest.mark.parametrize(
    'settings, options, message',
    [
        (dict(status=404), {}, 'the server says 404 Not Found'),
        (dict(), dict(size=5), f'the server has a file of {len(CONTENT)} bytes, 5 are expected'),
        (dict(), dict(sha256='abcd1234'), f'its SHA-256 begins with {HASH[:8]}, not abcd1234'),
        (dict(kind='text/html; charset=utf-8'), {}, 'the server sent a web page, not the file'),
        (dict(content=b'\n<!doctype html>'), {}, 'the server sent a web page, not the file'),
        (dict(limit=0), {}, 'the connection broke off'),
        (dict(length=False, limit=100, ranges=False), dict(size=200), 'after 100 of 200 bytes'),
        (
            dict(length=False),
            dict(size=200),
            f'the server sent {len(CONTENT)} bytes, 200 are expected',
        ),
    ],
)
def test_refuses(settings, options, message, server, tmp_path):
    vars(server).update(settings)
    with pytest.raises(ValueError) as caught:
        download(server.url, tmp_path / 'file.pth', progress=False, **options)
    assert message in str(caught.value) and '\n' not in str(caught.value)
    assert not (tmp_path / 'file.pth').exists()


def test_processes_wait_for_the_first(server, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: download(server.url, tmp_path / 'a.pth', progress=False), range(4)))
    assert len(server.asked) == 1 and left(tmp_path) == ['a.pth']


def test_weights_are_looked_for_first(server, tmp_path):
    own, cache = tmp_path / 'own', tmp_path / 'cache'
    own.mkdir()
    assert find_weights(server.url, own, cache, False) == (cache / 'file.pth', True)
    assert find_weights(server.url, own, cache) == (cache / 'file.pth', False)
    (own / 'file.pth').touch()
    assert find_weights(server.url, own, cache) == (own / 'file.pth', False)
    with pytest.raises(ValueError, match="^MMOVERLOCK_WEIGHTS: '.*missing' is not a folder"):
        find_weights(server.url, tmp_path / 'missing', cache)


def test_weights_are_checked_by_name_and_metafile(server, tmp_path, monkeypatch):
    base = server.url.removesuffix('file.pth')
    find_weights(f'{base}a-{HASH[:8]}.pth', None, tmp_path, False)
    find_weights(f'{base}a-20261129.pth', None, tmp_path, False)  # a date is no hash
    with pytest.raises(
        ValueError, match=f'SHA-256 .* not 0123abcd; a file b-0123abcd.pth in .*{tmp_path}'
    ):
        find_weights(f'{base}b-0123abcd.pth', None, tmp_path, False)
    monkeypatch.setattr(
        weights, 'info_of_weights', lambda url: SimpleNamespace(size=7, sha256=None)
    )
    with pytest.raises(ValueError, match='bytes, 7 are expected'):
        find_weights(server.url, None, tmp_path, False)


def test_a_damaged_download_is_not_kept(server, tmp_path, monkeypatch):
    """Without a length the end of a file cannot be told from a break."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    torch.save(dict(weight=torch.ones(30, 30)), tmp_path / 'whole.pth')
    server.content, server.length = (tmp_path / 'whole.pth').read_bytes(), False
    server.limit = 2000
    with pytest.raises(ValueError, match='is damaged: the file is cut short'):
        CheckpointLoader.load_checkpoint(server.url)
    server.limit = None
    assert CheckpointLoader.load_checkpoint(server.url)['weight'].shape == (30, 30)
