"""READMEs and metafiles say the same of each config, and what they say can be counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from mmengine.registry import MODELS, init_default_scope

from mmoverlock.utils.model_index import model_infos

from ..testing import on_meta
from .leaves import CONFIGS, LEAVES, ROOT, read

FOLDERS = sorted({path.parent for path in LEAVES})
READMES = [folder / 'README.md' for folder in FOLDERS if (folder / 'README.md').is_file()]
METAFILES = sorted(CONFIGS.glob('*/metafile.yml'))
INFOS = [*model_infos().values()]
ENTRIES = [
    pytest.param(path, entry, id=entry['Name'])
    for path in METAFILES
    for entry in yaml.safe_load(path.read_text())['Models']
]


def row_of(readme: Path, config: str) -> str:
    """The row of a README's table that links a config."""
    (row,) = (line for line in readme.read_text().splitlines() if f'| [config]({config})' in line)
    return row


def test_model_index_imports_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert sorted(index) == [path.relative_to(ROOT).as_posix() for path in METAFILES]


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.parent.name)
def test_collections(path):
    content = yaml.safe_load(path.read_text())
    names = [collection['Name'] for collection in content['Collections']]
    assert {entry['In Collection'] for entry in content['Models']} == {*names}
    for collection in content['Collections']:
        assert (ROOT / collection['README']).parent == path.parent
        assert collection['Paper'].keys() == {'Title', 'URL'}
        readme = (ROOT / collection['README']).read_text()
        assert collection['Paper']['Title'] in readme and collection['Paper']['URL'] in readme


@pytest.mark.parametrize('metafile, entry', ENTRIES)
def test_entry(metafile, entry):
    """The README's row has the metafile's figures and weights; parameters are those of the config.

    They are counted merged and without the auxiliary head, as in inference.
    """
    config, metadata = ROOT / entry['Config'], entry['Metadata']
    assert config in LEAVES
    if '_3rdparty_' in entry['Name']:  # as mmpretrain calls others' weights: in training's place
        parts = re.fullmatch(r'(.+)_3rdparty_(.+)', entry['Name']).groups()
        assert config.stem.startswith(f'{parts[0]}_') and config.stem.endswith(f'_{parts[1]}')
    else:
        assert entry['Name'] == config.stem
    cfg = read(config)
    if 'max_iters' in cfg.train_cfg:
        assert metadata['Iterations'] == cfg.train_cfg.max_iters
    else:
        assert metadata['Epochs'] == cfg.train_cfg.max_epochs

    row = row_of(metafile.with_name('README.md'), config.name)
    figures = [f'{metadata["Parameters"] / 1e6:.2f}', f'{metadata["FLOPs"] / 1e9:.2f}']
    for result in entry.get('Results', []):
        assert result['Source'] in ('published', 'reproduced')
        figures += map(str, result['Metrics'].values())
    cells = re.split(r'[|/\s]+', row)
    assert [figure for figure in figures if figure not in cells] == []
    links = re.findall(r'\]\((http[^)]+)\)', row)
    weights = [info.weights for info in INFOS if info.config.name == config.name and info.weights]
    assert links == weights and entry.get('Weights') in (None, *links)

    assert model_infos()[entry['Name']].scope == cfg.default_scope
    init_default_scope(cfg.default_scope)
    if cfg.model.get('backbone', {}).get('type') == 'OverLoCK':
        cfg.model.backbone.update(deploy=True, init_cfg=None)
    if cfg.model.get('head', {}).get('type') == 'OverLoCKHead':
        cfg.model.head.aux_weight = 0
    with on_meta():
        model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.get('data_preprocessor')))
    assert sum(p.numel() for p in model.parameters()) == metadata['Parameters']


@pytest.mark.parametrize('path', READMES, ids=lambda path: path.parent.name)
def test_readme_links(path):
    """Links to files lead somewhere, and every config of the folder that is linked exists."""
    links = re.findall(r'\]\(([^)#]+)', path.read_text())
    assert links
    broken = [
        link for link in links if '://' not in link and not (path.parent / link).resolve().exists()
    ]
    assert broken == []


@pytest.mark.parametrize('path', READMES, ids=lambda path: path.parent.name)
def test_readme_commands_name_configs(path):
    named = set(re.findall(r'configs/[\w./-]+\.py', path.read_text()))
    assert named and all((ROOT / name).is_file() for name in named)
