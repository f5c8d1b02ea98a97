"""What one analysis fails at, or an interruption, does not cost what the others found."""

import json
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmoverlock.analysis import run
from mmoverlock.analysis.analysis import Analysis, Options, Unsuitable
from mmoverlock.analysis.run import analyze
from mmoverlock.analysis.section import Section


class Seen(Analysis):
    """Writes what it has seen."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.seen = []

    def see(self, sample):
        self.seen.append(sample)

    def finish(self):
        return Section('Seen', {'samples': len(self.seen)})


class Blind(Seen):
    sees = False

    def see(self, sample):
        raise AssertionError


class FailsToSee(Seen):
    def see(self, sample):
        raise ValueError('picture 3 has\nno label')


class FailsToFinish(Seen):
    def finish(self):
        raise ValueError('no temperature fits')


class Interrupted(Seen):
    def finish(self):
        raise KeyboardInterrupt


class Refuses(Seen):
    def __init__(self, *arguments):
        raise ValueError('no such layer')


class WantsMaps(Seen):
    def __init__(self, *arguments):
        raise Unsuitable('the backbone gives no map')


@pytest.fixture
def go(tmp_path, monkeypatch):
    """`go(eval=Seen, ...)`: analyse with these; returns the sections' facts that are on the disk."""
    subject = SimpleNamespace(
        cfg=SimpleNamespace(filename='my.py'), task='classification', dataset=range(9),
        indices=range(3), classes=('a', 'b'), device='cpu',
    )  # fmt: skip
    monkeypatch.setattr(run, 'Subject', lambda *arguments: subject)
    monkeypatch.setattr(run, 'samples_of', lambda subject: iter(subject.indices))
    (tmp_path / 'a.pth').write_text('weights')
    folder = tmp_path / 'work' / 'analysis'

    def go(options=None, names=('all',), **classes):
        monkeypatch.setattr(run, 'names_of', lambda task: [*classes])
        monkeypatch.setattr(run, 'find_analysis', lambda task, name: classes[name])
        cfg = Config(dict(work_dir=str(tmp_path / 'work')))
        analyze(cfg, tmp_path / 'a.pth', names, options=options)
        return found()

    def found():
        analyses = json.loads((folder / 'analysis.json').read_text())['analyses']
        return {name: one['section']['facts'] for name, one in analyses.items()}

    go.found, go.report, go.folder = found, folder / 'report.html', folder.parent
    return go


def test_all_are_shown_every_prediction_that_need_them(go):
    assert go(eval=Seen, speed=Blind) == dict(eval=dict(samples=3), speed=dict(samples=0))
    assert 'Seen' in go.report.read_text()


def test_others_go_on_when_one_fails(go, monkeypatch):
    printed = []
    monkeypatch.setattr(run, 'print_log', lambda message, **_: printed.append(message))
    with pytest.raises(ValueError, match='no result of errors, calibration, see above; the others'):
        go(eval=Seen, calibration=FailsToFinish, errors=FailsToSee, speed=Blind)
    assert go.found() == dict(eval=dict(samples=3), speed=dict(samples=0))
    assert go.report.read_text().count('<section') == 2
    assert printed.count('errors: picture 3 has no label') == 1
    assert printed.count('calibration: no temperature fits') == 1
    assert [line.partition(':')[0] for line in printed] == [
        *('errors', 'predictions of 3 images', 'eval', 'calibration', 'speed')
    ]


def test_without_predictions_the_rest_goes_on(go, monkeypatch):
    def samples(subject):
        yield 0
        raise ValueError('the scores are not finite')

    monkeypatch.setattr(run, 'samples_of', samples)
    with pytest.raises(ValueError, match='no result of eval, errors, see above; the others are in'):
        go(eval=Seen, errors=Seen, speed=Blind)
    assert go.found() == dict(speed=dict(samples=0))


def test_all_goes_without_what_does_not_suit_the_model(go, monkeypatch):
    printed = []
    monkeypatch.setattr(run, 'print_log', lambda message, **_: printed.append(message))
    with pytest.raises(ValueError, match='^gradcam: the backbone gives no map$'):
        go(names=['all', 'gradcam'], eval=Seen, gradcam=WantsMaps)
    assert not go.folder.exists()
    assert go(eval=Seen, gradcam=WantsMaps) == dict(eval=dict(samples=3))
    assert printed[0] == 'gradcam is left out: the backbone gives no map'


def test_all_may_fail(go):
    with pytest.raises(ValueError, match='no result of eval, see above; there is no report'):
        go(eval=FailsToSee)
    assert not go.report.exists()


def test_an_interruption_leaves_what_was_found(go):
    with pytest.raises(KeyboardInterrupt):
        go(eval=Seen, confusion=Interrupted, speed=Seen)
    assert go.found() == dict(eval=dict(samples=3))
    assert go.report.read_text().count('<section') == 1
    assert go(speed=Blind) == dict(eval=dict(samples=3), speed=dict(samples=0))


def test_nothing_is_written_before_all_options_are_checked(go):
    with pytest.raises(ValueError, match='no such layer'):
        go(eval=Seen, gradcam=Refuses)
    with pytest.raises(ValueError, match="compare: only the analysis 'erf' takes it"):
        go(Options(compare='b.pth'), eval=Seen)
    with pytest.raises(ValueError, match="layers: only the analysis 'gradcam' takes it"):
        go(Options(layers=('c4',)), eval=Seen)
    assert not go.folder.exists()
