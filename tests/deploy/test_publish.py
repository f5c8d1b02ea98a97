"""Published files: weights alone, the same bytes each time, read wherever a checkpoint is."""

import copy
import hashlib
import re
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors.torch import save_file

from mmoverlock.apis import Inferencer
from mmoverlock.cli.main import main as mmoverlock
from mmoverlock.deploy.publish import publish, reparameterize
from mmoverlock.models import OverLoCK, load_official
from mmoverlock.models.overlock.reparam import merge_branches
from mmoverlock.utils.checkpoint import read_checkpoint
from mmoverlock.utils.safetensors_files import _in_order, read_safetensors

from ..testing import assert_close, golden_state_dict
from ..user import check, file_limit

PRIVATE = '/home/somebody/secret'
CLASSES = ('dark', 'light')


@pytest.fixture
def trained(home, tmp_path) -> Path:
    """A classifier's training checkpoint; its hooks kept an average, as MMEngine's EMAHook does."""
    state = torch.load(home / 'cls.pth', weights_only=True)['state_dict']
    other = {f'module.{name}': value + 1 for name, value in state.items()}
    meta = dict(
        cfg=f"data_root = '{PRIVATE}'", experiment_name='my-config_20250101_120000', epoch=3, iter=9,
        time='20250101_120001', mmengine_version='0.10.12abcdef',
        dataset_meta=dict(classes=CLASSES, palette=[(1, 2, 3), (4, 5, 6)], root=PRIVATE),
    )  # fmt: skip
    path = tmp_path / 'run' / 'epoch_3.pth'
    path.parent.mkdir()
    checkpoint = dict(
        meta=meta, state_dict=state, ema_state_dict={**other, 'steps': torch.tensor(4)},
        optimizer=dict(state={0: torch.zeros(9)}), message_hub=dict(folder=PRIVATE),
    )  # fmt: skip
    torch.save(checkpoint, path)
    return path


@pytest.mark.parametrize('format', ['pth', 'safetensors'])
def test_weights_and_plain_facts_alone(trained, format):
    path = publish(trained, format=format)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    assert path == trained.parent / f'my-config-{digest}.{format}'
    assert PRIVATE.encode() not in content and b'2025' not in content
    loaded = read_checkpoint(path)
    assert set(loaded) == {'meta', 'state_dict'}
    assert set(loaded['meta']) == {
        'dataset_meta', 'config_name', 'epoch', 'iter', 'mmengine_version', 'mmoverlock_version'
    }  # fmt: skip
    assert loaded['meta']['dataset_meta']['classes'] == [*CLASSES]
    assert loaded['meta']['mmengine_version'] == '0.10.12'
    expected = read_checkpoint(trained)['state_dict']
    assert loaded['state_dict'].keys() == expected.keys()
    assert all(torch.equal(loaded['state_dict'][name], expected[name]) for name in expected)
    path.unlink()
    assert publish(trained, format=format).read_bytes() == content


def test_metadata_are_in_order():
    """The library writes them in an order that varies from call to call."""
    tensors = {'weight': torch.arange(3.0)}
    orders = [{'format': 'pt', 'meta': 'é'}, {'meta': 'é', 'format': 'pt'}]
    files = {_in_order(safetensors.torch.save(tensors, metadata=orders[i % 2])) for i in range(20)}
    (content,) = files
    assert int.from_bytes(content[:8], 'little') % 8 == 0
    loaded = read_safetensors(content)['state_dict']
    assert torch.equal(loaded['weight'], tensors['weight'])


def test_time_and_place_of_the_training_do_not_change_the_hash(trained):
    first = publish(trained)
    checkpoint = torch.load(trained, weights_only=True)
    checkpoint['meta'] |= dict(time='20260101_000000', cfg='', seed=7)
    checkpoint['state_dict'] = dict(checkpoint['state_dict'])
    torch.save(checkpoint, trained.parent / 'other.pth')
    with pytest.raises(ValueError, match=f"output: '{first}' exists"):
        publish(trained.parent / 'other.pth')


def published(path: Path, **options) -> dict[str, torch.Tensor]:
    return read_checkpoint(publish(path, path.parent / 'given.pth', **options))['state_dict']


def test_weights_of_an_average(trained):
    state = read_checkpoint(trained)['state_dict']
    name = next(iter(state))
    assert torch.equal(published(trained)[name], state[name])  # MMEngine's average is state_dict
    assert torch.equal(published(trained, ema=False)[name], state[name] + 1)


def test_averages_of_other_programs_and_wrappers(tmp_path):
    model = torch.nn.Linear(2, 2)
    average = ExponentialMovingAverage(copy.deepcopy(model))
    with torch.no_grad():
        model.weight += 1
    files = {
        'timm': dict(state_dict=model.state_dict(), state_dict_ema=average.module.state_dict()),
        'average': average.state_dict(),
    }
    for name, file in files.items():
        torch.save(file, tmp_path / f'{name}.pth')
        state = read_checkpoint(publish(tmp_path / f'{name}.pth'))['state_dict']
        assert set(state) == {'weight', 'bias'}
        assert torch.equal(state['weight'], average.module.weight)
    assert torch.equal(published(tmp_path / 'timm.pth', ema=False)['weight'], model.weight)


@pytest.mark.parametrize(('key', 'suffix'), [('cls/xxt', 'pth'), ('det/xxt', 'safetensors')])
def test_merged_as_the_network_merges_itself(tmp_path, key, suffix):
    state = golden_state_dict(key)
    torch.save(state, tmp_path / 'overlock_xxt.pth')
    path = reparameterize(tmp_path / 'overlock_xxt.pth')
    assert path == tmp_path / 'overlock_xxt_reparam.pth'
    model = OverLoCK('xxt', deploy=True)
    load_official(model, state)
    merged = OverLoCK('xxt', deploy=True)
    load_official(merged, path)
    assert_close(merged.state_dict(), model.state_dict(), 1e-6)
    if key == 'cls/xxt':
        assert (
            read_checkpoint(path)['state_dict'].keys()
            == golden_state_dict('cls_reparam/xxt').keys()
        )
    named = publish(tmp_path / 'overlock_xxt.pth', merge=True, format=suffix)
    assert re.fullmatch(rf'overlock_xxt_reparam-[0-9a-f]{{8}}\.{suffix}', named.name)


@pytest.fixture(scope='module')
def merged(home, tmp_path_factory) -> dict[str, str]:
    """Merged files of the user's classifier and detector."""
    folder = tmp_path_factory.mktemp('merged')
    return {
        name: str(publish(home / f'{name}.pth', folder, merge=True, format=format))
        for name, format in (('cls', 'safetensors'), ('det', 'pth'), ('seg', 'safetensors'))
    }


@pytest.mark.parametrize('name', ['cls', 'det', 'seg'])
def test_a_merged_file_gives_the_same_answers_with_the_same_config(at_home, merged, name):
    image = 'data/digits_scenes/val/000000.png'
    one = Inferencer(f'{name}.py', f'{name}.pth', score_thr=0).predict(image)
    other = Inferencer(f'{name}.py', merged[name], score_thr=0, merge=False).predict(image)
    if name == 'seg':
        assert (one['labels'] == other['labels']).mean() > 0.99
    for a, b in zip(
        one.get('top', one.get('objects', [])),
        other.get('top', other.get('objects', [])),
        strict=True,
    ):
        assert a['label'] == b['label'] and a['score'] == pytest.approx(b['score'], abs=1e-4)


def test_a_merged_file_is_tested(at_home, merged, tool, tmp_path):
    tool('test')(['cls.py', merged['cls'], '--work-dir', str(tmp_path)])
    ema = tmp_path / 'ema.py'
    ema.write_text(f"_base_ = '{at_home}/cls.py'\ncustom_hooks = [dict(type='EMAHook')]")
    tool('test')([str(ema), merged['cls'], '--work-dir', str(tmp_path)])
    assert (tmp_path / 'metrics.json').is_file()


def test_a_merged_file_is_not_trained(at_home, merged, tool, tmp_path, capsys):
    options = ['--work-dir', str(tmp_path), '--cfg-options', f'load_from={merged["det"]}']
    check(tool, 'train', ['det.py', *options], 'merged branches: build OverLoCK with deploy=True; to train', tmp_path, capsys)  # fmt: skip


def test_the_library_alone_does_not_load_half_of_a_merged_file(merged):
    state = merge_branches(golden_state_dict('cls/xxt'))
    with pytest.raises(ValueError, match='checkpoint holds merged branches'):
        OverLoCK('xxt').load_state_dict(state, strict=False)


def test_a_published_file_begins_a_training(at_home, tool, tmp_path):
    path = publish('det.pth', tmp_path, format='safetensors')
    tool('train')(
        ['det.py', '--work-dir', str(tmp_path / 'work'), '--cfg-options', f'load_from={path}']
    )
    assert (tmp_path / 'work/iter_2.pth').is_file()


def test_initial_weights_from_safetensors_of_another_program(tmp_path):
    state = golden_state_dict('cls/xxt')
    save_file(state, tmp_path / 'plain.safetensors')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'plain.safetensors'))
    model = OverLoCK('xxt', init_cfg=init)
    model.init_weights()
    assert torch.equal(model.base_net.patch_embed1[0].weight, state['patch_embed1.0.weight'])


def test_safetensors_are_known_by_their_content(tmp_path, monkeypatch):
    save_file({'a': torch.ones(2)}, tmp_path / 'a.pth', metadata={'meta': 'not ours'})
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), map_location='cpu')
    assert torch.equal(loaded['state_dict']['a'], torch.ones(2)) and loaded['meta'] == {}
    monkeypatch.delitem(sys.modules, 'safetensors.torch')
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    with pytest.raises(ValueError, match='pip install safetensors'):
        read_checkpoint(tmp_path / 'a.pth')


def mistakes(folder: Path) -> dict[str, tuple[list[str], str]]:
    torch.save({'head.weight': torch.zeros(2)}, folder / 'volo.pth')
    torch.save(
        {'a.lk_origin.weight': torch.zeros(4, 1, 7, 7), 'a.lk_origin.bias': torch.zeros(4)},
        folder / 'merged.pth',
    )
    half = {'a.lk_origin.weight': torch.zeros(4, 1, 7, 7), 'a.origin_bn.weight': torch.zeros(4)}
    torch.save(half, folder / 'half.pth')
    (folder / 'cut.safetensors').write_bytes(b'\x10\x00\x00\x00\x00\x00\x00\x00{"a": {"dtype')
    (folder / 'volo_reparam.pth').write_text('precious')
    (folder / 'file').write_text('')
    plain = str(folder / 'volo.pth')
    return {
        'none': (['publish', str(folder / 'no.pth')], 'does not exist'),
        'merged': (['reparameterize', str(folder / 'merged.pth')], 'is merged already'),
        'nothing': (['reparameterize', plain, '--output', str(folder / 'x.pth')], 'no branches to merge'),
        'half': (['publish', str(folder / 'half.pth'), '--merge'], "lacks 'a.origin_bn.running_var'"),
        'ema': (['publish', plain, '--ema'], 'no weights of a moving average'),
        'suffix': (['publish', plain, '--output', str(folder / 'a.ckpt')], 'ends in .pth or .safetensors'),
        'format': (['publish', plain, '--format', 'gguf'], 'invalid choice'),
        'both': (['publish', plain, '--format', 'pth', '--output', str(folder / 'a.safetensors')], 'ends in .pth'),
        'unwritable': (['publish', plain, '--output', str(folder / 'file' / 'a.pth')], 'cannot be written'),
        'cut': (['publish', str(folder / 'cut.safetensors')], "cut.safetensors' is damaged"),
    }  # fmt: skip


@pytest.mark.parametrize(
    'case',
    'none merged nothing half ema suffix format both unwritable cut'.split(),
)
def test_mistakes_end_in_one_line(tmp_path, case, capsys):
    arguments, message = mistakes(tmp_path)[case]
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(SystemExit) as stop:
        mmoverlock(arguments)
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one]
    assert stop.value.code == 2 and line.startswith('error: ') and message in line
    assert sorted(tmp_path.rglob('*')) == before


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path):
    state = merge_branches(golden_state_dict('cls/xxt'))
    torch.save(state, tmp_path / 'a.pth')
    (tmp_path / 'taken.pth').write_text('precious')
    torch.save(golden_state_dict('cls/xxt'), tmp_path / 'whole.pth')
    with pytest.raises(ValueError, match='exists, choose another name'):
        reparameterize(tmp_path / 'whole.pth', tmp_path / 'taken.pth')
    assert (tmp_path / 'taken.pth').read_text() == 'precious'
    with file_limit(10_000), pytest.raises(OSError, match='cannot be written'):
        publish(tmp_path / 'a.pth')
    assert len(list(tmp_path.iterdir())) == 3


def test_command_compares_if_there_is_a_config(at_home, tmp_path, capsys):
    out = tmp_path / 'out.safetensors'
    mmoverlock(['reparameterize', 'cls.pth', '--output', str(out), '--config', 'cls.py'])
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first == str(out)
    assert float(second.rpartition(' ')[2]) < 1e-4
    cfg = Config.fromfile('cls.py')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        assert Inferencer(cfg, out).classes
