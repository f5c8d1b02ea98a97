"""The module that takes the name ``mmcv._ext``."""

import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import mmcv
import mmcv._ext as ext
import pytest
import torch
from mmcv import ops
from mmcv.utils.env import collect_env
from mmcv.utils.ext_loader import check_ops_exist

ROOT = Path(__file__).parents[3]
OPERATORS = [
    name
    for name, one in vars(ext).items()
    if inspect.isfunction(one) and not name.startswith(('_', 'get_'))
]
BINDINGS = Path(mmcv.__file__).parent / 'ops/csrc/pytorch/pybind.cpp'


def run_python(code):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_mmcv_finds_the_stand_in():
    assert check_ops_exist()
    assert ext is mmcv._ext is sys.modules['mmcv._ext']


def test_unsupported_operator_raises_when_called():
    assert hasattr(ext, 'three_nn_forward')
    with pytest.raises(NotImplementedError, match="'three_nn_forward'.*pip install") as error:
        ext.three_nn_forward(1, m=2)
    assert '\n' not in str(error.value)


def test_unsupported_operator_raises_through_mmcv():
    with pytest.raises(NotImplementedError, match="'nms_quadri'"):
        ops.nms_quadri(torch.rand(3, 8), torch.rand(3), 0.5)


@pytest.mark.parametrize('name', ['__wrapped__', '__all_names__', '_private'])
def test_private_names_are_missing(name):
    assert not hasattr(ext, name)
    with pytest.raises(AttributeError, match=name):
        getattr(ext, name)


def test_collect_env():
    assert collect_env()['MMCV Compiler'] == 'n/a'


@pytest.mark.skipif(not BINDINGS.exists(), reason=f'mmcv ships no {BINDINGS.name}')
@pytest.mark.parametrize('name', OPERATORS)
def test_signatures_are_those_of_the_compiled_extension(name):
    binding = re.search(rf'm\.def\("{name}",.*?\);', BINDINGS.read_text(), re.DOTALL)
    arguments = re.findall(r'py::arg\("(\w+)"\)', binding[0])
    assert list(inspect.signature(getattr(ext, name)).parameters) == arguments


def test_compiled_mmcv_is_left_alone(tmp_path):
    (tmp_path / '_ext.py').write_text("def __getattr__(name): return f'compiled {name}'\n")
    result = run_python(f"""
        import sys
        import mmcv
        mmcv.__path__.append({str(tmp_path)!r})
        import mmoverlock
        import mmcv._ext
        print(mmcv._ext.nms, sys.modules['mmcv._ext'].nms)
    """)
    assert result.stdout.strip() == 'compiled nms compiled nms', result.stderr


def test_mmdet_and_mmseg_get_their_operators():
    result = run_python("""
        import mmoverlock
        import mmdet.models, mmseg.models
        from mmdet.models.dense_heads import base_dense_head
        from mmdet.models.losses import focal_loss
        from mmseg.models.decode_heads import point_head
        print(base_dense_head.batched_nms.__module__, focal_loss._sigmoid_focal_loss is not None,
              point_head.point_sample.__module__)
    """)
    assert result.stdout.split() == ['mmcv.ops.nms', 'True', 'mmcv.ops.point_sample'], result.stderr
