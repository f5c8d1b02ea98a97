"""Small models with random weights, as a user has them: a config and a checkpoint."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from ..user import ARCH, DETECTION, ROOT

NEW_ARCH = ARCH.replace('dict(', 'dict(_delete_=True,')

# The decoder, with a network that is exported in seconds.
UPERNET = f"""
_base_ = '{ROOT}/configs/quickstart/upernet_overlock-xxt_digits.py'
resnet = dict(type='mmseg.ResNetV1c', depth=18, base_channels=8, norm_eval=False)
model = dict(
    backbone=dict(_delete_=True, **resnet),
    decode_head=dict(in_channels=[8, 16, 32, 64], channels=16),
    auxiliary_head=dict(in_channels=32, channels=8),
)
"""

SEMANTIC_FPN = f"""
_base_ = '{ROOT}/configs/semfpn_overlock/fpn_overlock-xt_8xb4-40k_ade20k-512x512.py'
model = dict(
    backbone=dict(arch={NEW_ARCH}, init_cfg=None),
    neck=dict(in_channels=[8, 16, 40, 40], out_channels=16),
    decode_head=dict(in_channels=[16] * 4, channels=16),
)
"""

VOLO = f"""
_base_ = '{ROOT}/configs/quickstart/volo-flat_digits.py'
model = dict(
    backbone=dict(arch=dict(dims=(24,), outlookers=(1,), transformers=(1,), heads=(2,))),
    head=dict(in_channels=24),
)
"""

CLASSIFIER = f"""
_base_ = '{ROOT}/configs/quickstart/overlock-xxt_digits.py'
model = dict(backbone=dict(arch={NEW_ARCH}), head=dict(arch={NEW_ARCH}))
"""

CONFIGS = dict(
    classifier=CLASSIFIER,
    detector=DETECTION,
    upernet=UPERNET,
    semantic_fpn=SEMANTIC_FPN,
    volo=VOLO,
)


def make(name: str, folder: Path) -> tuple[Config, str]:
    """The config of :data:`CONFIGS`, and a checkpoint whose outputs tell pictures apart."""
    file = folder / f'{name}.py'
    file.write_text(CONFIGS[name])
    cfg = Config.fromfile(file)
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.random.fork_rng([]):
        torch.manual_seed(0)
        state = MODELS.build(cfg.model).state_dict()
    generator = torch.Generator().manual_seed(0)
    for key, value in state.items():
        if value.ndim > 1:
            value = torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5
        state[key] = value
    path = folder / f'{name}.pth'
    torch.save(dict(state_dict=state, meta={}), path)
    return cfg, str(path)
