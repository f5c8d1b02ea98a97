"""What needs no model; tests/cli/test_infer.py runs the rest."""

import subprocess
import sys

from mmoverlock.apis import describe


def test_describes():
    assert describe(dict(image='a.png', error='no')) == 'no'
    found = [dict(name='cat'), dict(name='dog'), dict(name='cat')]
    assert describe(dict(image='a.png', objects=found)).split() == 'a.png 2 cat 1 dog'.split()
    assert 'nothing' in describe(dict(image='a.png', objects=[]))
    assert '0.900 cat' in describe(dict(image='a', picture='b', top=[dict(name='cat', score=0.9)]))
    assert '12.5% sky' in describe(dict(image='a', classes=[dict(name='sky', share=0.125)]))
    film = dict(video='a.mp4', frames=8, announced=8, classes=[dict(name='cat', share=0.25)])
    assert describe(film).split() == 'a.mp4: 8 frames 25.0% cat'.split()
    damaged = dict(film, picture='b.mp4', announced=9)
    assert 'a.mp4 -> b.mp4: 8 frames, of 9 that the file announces' in describe(damaged)
    assert describe(dict(video='a.mp4', error='no')) == 'no'


def test_imports_no_inferencer():
    code = 'import mmoverlock.apis, sys; print([m for m in sys.modules if m in BAD])'
    bad = "BAD = ('mmdet.apis', 'mmseg', 'mmseg.apis')"
    done = subprocess.run([sys.executable, '-c', f'{bad}\n{code}'], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == '[]', done.stderr
