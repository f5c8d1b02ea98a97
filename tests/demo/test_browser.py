"""The demo as its user sees it, in a headless Chromium, and the command that starts it."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from torch.distributed.elastic.utils.distributed import get_free_port

from mmoverlock.demo import Viewer, serve
from mmoverlock.demo.examples import example_pictures
from mmoverlock.utils.config import read_config

from ..user import ROOT

pytest.importorskip('gradio', '6', reason="gradio 6 is missing: pip install 'mmoverlock[demo]'")
playwright = pytest.importorskip('playwright.sync_api')

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
SCENE = 'data/digits_scenes/val/000000.png'
HARMLESS = 'Method not implemented.'  # gradio's own words, a warning
PICTURE = '.image-frame img'


@pytest.fixture(scope='module')
def hosts():
    """The hosts that this process asks for."""
    asked, resolve = [], socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            socket,
            'getaddrinfo',
            lambda host, *rest, **more: asked.append(host) or resolve(host, *rest, **more),
        )
        yield asked


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
def server(home, hosts, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv('MMOVERLOCK_BACKEND', 'reference')
        shutil.copy('det.pth', 'other.pth')
        viewer = Viewer('det.py', 'det.pth', ('det.py', 'other.pth'), device='cpu')
        os.remove('other.pth')
        examples = example_pictures(read_config('det.py'), tmp_path_factory.mktemp('examples'))
        assert [path.name for path in examples] == ['000000.png', '000001.png']
        port = get_free_port()  # another test process has its own
        with serve(viewer, 'a <detector>', examples, port=port) as server:
            yield server


def test_upload_slider_example_and_a_bad_file(server, browser, hosts, home, tmp_path):
    wrong = []
    page = browser.new_page(viewport=dict(width=1200, height=900), service_workers='block')
    page.set_default_timeout(30_000)
    page.on('console', lambda m: m.text == HARMLESS or wrong.append(m.text))
    page.on('pageerror', lambda error: wrong.append(str(error)))
    page.on('requestfailed', lambda r: 'ERR_ABORTED' in r.failure or wrong.append(r.url))
    page.on(
        'request',
        lambda r: (
            r.url.startswith((server.url, 'data:', f'blob:{server.url}')) or wrong.append(r.url)
        ),
    )
    page.goto(server.url)
    assert page.locator('h1').inner_text() == 'a <detector>'
    upload = page.locator('input[type=file]').first
    upload.set_input_files(home / SCENE)
    page.locator(PICTURE).nth(1).wait_for()
    sizes = page.locator(PICTURE).evaluate_all('all => all.map(one => one.naturalWidth)')
    assert sizes == [384, 384]  # enlarged by 6, one for each model

    # At 0.3 nothing is found, and the drawing changes when the threshold falls.
    source = "document.querySelector('.image-frame img').src"
    before = page.evaluate(source)
    number = page.get_by_label('number input for Score threshold')
    number.fill('0')
    number.press('Enter')
    page.wait_for_function(f'{source} !== {before!r}')
    before = page.evaluate(source)

    page.get_by_label('Thumbnail 2 of 2').click()
    page.wait_for_function(f'{source} !== {before!r}')
    assert page.get_by_text('000001').count()

    (tmp_path / 'broken.png').write_text('no picture')
    page.get_by_label('Clear').first.click()
    page.locator(PICTURE).first.wait_for(state='detached')
    page.locator('input[type=file]').first.set_input_files(tmp_path / 'broken.png')
    alert = page.locator('#message [role=alert]')
    alert.wait_for()
    assert alert.inner_text() == "image 'broken.png' cannot be read: no image, or damaged"
    assert page.locator(PICTURE).count() == 0
    page.close()
    assert wrong == []
    assert set(hosts) <= {'127.0.0.1', 'localhost'}


def test_listens_on_this_machine_alone(server):
    port = int(server.url.rsplit(':')[-1].strip('/'))
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(('127.0.0.2', port))
    assert b'googleapis' not in urllib.request.urlopen(server.url).read()


@pytest.mark.parametrize(
    'host, port, message',
    [
        (None, 'taken', 'port={port}: another program uses it'),
        (None, 70000, 'port=70000: a number from 1 to 65535'),
        ('192.0.2.1', 7999, "host='192.0.2.1': Cannot assign"),
    ],
)
def test_addresses_that_cannot_be_used(server, host, port, message):
    port = int(server.url.rsplit(':')[-1].strip('/')) if port == 'taken' else port
    with pytest.raises(ValueError, match=message.format(port=port)):
        serve(None, '', host=host or '127.0.0.1', port=port)


def test_ctrl_c(at_home):
    command = [
        sys.executable,
        str(Path(ROOT, 'tools/demo.py')),
        'cls.py',
        'cls.pth',
        '--device',
        'cpu',
    ]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout.readline().startswith('demo: http://127.0.0.1:')
    running.send_signal(2)
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, '')
