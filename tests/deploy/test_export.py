"""What is exported says what the libraries say, at sizes and batches that the exporter did not see."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from mmoverlock.apis.loading import load_model
from mmoverlock.deploy.export import export
from mmoverlock.deploy.formats import FORMATS, format_of
from mmoverlock.runtime.spec import KEY, Spec

from ..testing import assert_close
from .small import make

SHAPES = [(1, 32, 32), (3, 45, 83), (4, 96, 64)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('small')


@pytest.fixture(scope='module')
def classifier(folder):
    return make('classifier', folder)


@pytest.fixture(scope='module')
def upernet(folder):
    return make('upernet', folder)


@pytest.fixture(scope='module')
def volo(folder):
    return make('volo', folder)


def library_says(cfg, checkpoint: str, image: np.ndarray) -> dict[str, np.ndarray]:
    """What ``test_step`` returns for pictures in the channels that the config reads."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.no_grad():
        model, _ = load_model(cfg, checkpoint)
        inputs = [torch.from_numpy(one) for one in image]
        if cfg.default_scope == 'mmpretrain':
            samples = model.test_step(dict(inputs=inputs, data_samples=None))
            return dict(scores=torch.stack([one.pred_score for one in samples]).numpy())
        from mmseg.structures import SegDataSample

        size = image.shape[2:]
        about = dict(img_shape=size, ori_shape=size, pad_shape=size, padding_size=[0] * 4)
        data = [SegDataSample(metainfo=about) for _ in inputs]
        samples = model.test_step(dict(inputs=inputs, data_samples=data))
        return dict(
            labels=torch.cat([one.pred_sem_seg.data for one in samples]).numpy(),
            logits=torch.stack([one.seg_logits.data for one in samples]).numpy(),
        )


def check(made, path: Path, format: str, shapes=SHAPES, **options) -> None:
    """Export, run the file, and compare with the library's own predictions."""
    cfg, checkpoint = made
    found = export(cfg, checkpoint, format, path, **options)
    assert found.files[0] == path and found.lines
    run = format_of(format).run(path)
    rng = np.random.default_rng(0)
    for batch, height, width in shapes:
        image = rng.uniform(0, 255, (batch, 3, height, width)).astype(np.float32)
        swapped = image[:, ::-1].copy() if found.spec.channels == 'rgb' else image
        if cfg.default_scope == 'mmpretrain':
            swapped = image  # digits, which are grey
        expected, actual = library_says(cfg, checkpoint, swapped), run(image)
        assert list(actual) == list(expected) == list(found.outputs)
        for name in set(expected) - {'labels'}:
            assert_close(actual[name], expected[name], 1e-4, name)
        if 'labels' in expected:
            assert (actual['labels'] == expected['labels']).mean() > 0.999
            assert actual['labels'].dtype == np.int64


def test_classifier_of_any_size(classifier, tmp_path):
    """As ONNX, which is made from the program of torch.export; its free sizes have names."""
    import onnx

    check(classifier, tmp_path / 'it.onnx', 'onnx', dynamic=True)
    graph = onnx.load(tmp_path / 'it.onnx').graph
    shapes = {
        one.name: [size.dim_param or size.dim_value for size in one.type.tensor_type.shape.dim]
        for one in (*graph.input, *graph.output)
    }
    assert shapes == dict(image=['batch', 3, 'height', 'width'], scores=['batch', 10])


def test_upernet_of_any_size(upernet, tmp_path):
    check(upernet, tmp_path / 'it.pt2', 'torch-export', dynamic=True, size=(64, 96))


@pytest.mark.parametrize('format', ['onnx', 'torch-export'])
def test_volo_of_any_size(volo, tmp_path, format):
    check(volo, tmp_path / f'it{format_of(format).SUFFIX}', format, dynamic=True)


def test_semantic_fpn_is_padded_by_nobody(folder, tmp_path):
    check(
        make('semantic_fpn', folder),
        tmp_path / 'it.pt',
        'torchscript',
        [(1, 64, 96)],
        size=(64, 96),
    )


@pytest.mark.parametrize('format', ['torchscript', 'openvino'])
def test_one_size(classifier, tmp_path, format):
    check(
        classifier, tmp_path / f'it{format_of(format).SUFFIX}', format, [(1, 48, 64)], size=(48, 64)
    )


def test_the_file_says_what_it_is(classifier, tmp_path):
    import onnx

    cfg, checkpoint = classifier
    found = export(cfg, checkpoint, 'onnx', tmp_path / 'it.onnx', verified=False)
    model = onnx.load(tmp_path / 'it.onnx')
    (text,) = [one.value for one in model.metadata_props if one.key == KEY]
    assert Spec.from_json(text) == found.spec
    spec = found.spec
    assert spec.task == 'classification' and spec.classes == tuple('0123456789')
    assert spec.sizes == ((32, 32), (32, 32)) and spec.batch == (1, 1)
    assert [step.type for step in spec.before + spec.inside] == ['resize', 'normalize']
    assert spec.origin['sha256'] == hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
    assert json.loads(text)['origin']['torch'] == torch.__version__
    assert [one.name for one in model.graph.input] == ['image']
    assert [one.name for one in model.graph.output] == ['scores']


def test_half_precision(classifier, tmp_path):
    cfg, checkpoint = classifier
    path = tmp_path / 'it.pt'
    found = export(cfg, checkpoint, 'torchscript', path, half=True)
    assert 'half precision' in found.note
    assert {weight.dtype for weight in torch.jit.load(path).parameters()} == {torch.float16}
    (output,) = format_of('torchscript').run(path)(np.zeros((1, 3, 32, 32), np.float32)).values()
    assert output.dtype == np.float32


@pytest.mark.parametrize('preprocess', ['none', 'resize'])
def test_preprocessing_outside_or_inside(classifier, tmp_path, preprocess):
    cfg, checkpoint = classifier
    found = export(
        cfg, checkpoint, 'torchscript', tmp_path / 'it.pt', preprocess=preprocess, size=(40, 50)
    )
    steps = [['resize', 'normalize'], []]
    kinds = [[step.type for step in part] for part in (found.spec.before, found.spec.inside)]
    assert kinds == (steps if preprocess == 'none' else steps[::-1])


def test_a_file_that_does_not_agree_is_not_kept(classifier, tmp_path, monkeypatch):
    writer = format_of('torchscript')
    right = writer.run

    def wrong(path):
        run = right(path)
        return lambda image: {name: one + 0.01 for name, one in run(image).items()}

    monkeypatch.setattr(writer, 'run', wrong)
    cfg, checkpoint = classifier
    with pytest.raises(RuntimeError, match='was not kept: it differs .* difference 0.01, '):
        export(cfg, checkpoint, 'torchscript', tmp_path / 'it.pt')
    assert not list(tmp_path.iterdir())


def test_every_format_has_the_same_names():
    for name in FORMATS:
        writer = format_of(name)
        assert all(
            hasattr(writer, one) for one in ('SUFFIX', 'NEEDS', 'HALF_ON_CPU', 'write', 'run')
        )
