"""The learner in PyTorch, which is mmoverlock's network."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmoverlock.models import OverLoCK, OverLoCKHead

from .learner import AUX_WEIGHT, WEIGHT_DECAY


class Classifier(nn.Module):
    """Backbone and head, under the names of mmpretrain's ImageClassifier."""

    def __init__(self, classes: int):
        super().__init__()
        self.backbone, self.head = OverLoCK('xxt'), OverLoCKHead(classes, 'xxt')

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(images)
        return self.head(features), self.head.forward_aux(features)


class PyTorchLearner:
    """See :class:`.learner.Learner`."""

    def __init__(self, classes: int, float64: bool = False):
        self.dtype = torch.float64 if float64 else torch.float32
        self.model = Classifier(classes).to(self.dtype)
        parameters = [*self.model.parameters()]
        groups = [
            dict(params=[p for p in parameters if p.ndim > 1], weight_decay=WEIGHT_DECAY),
            dict(params=[p for p in parameters if p.ndim == 1], weight_decay=0),
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=0)
        self.maps: list[Tensor] = []  # of the stages, in the last forward pass
        base, focus = self.model.backbone.base_net, self.model.backbone.focus_net
        for stage in (base.blocks1, base.blocks2, focus.sub_blocks3, focus.sub_blocks4):
            stage[-1].register_forward_hook(lambda module, args, out: self.maps.append(out))

    def step(self, images: np.ndarray, labels: np.ndarray, rate: float) -> tuple[float, float]:
        self.model.train()
        for group in self.optimizer.param_groups:
            group['lr'] = rate
        targets = torch.from_numpy(labels)
        main, aux = (F.cross_entropy(x, targets) for x in self._run(images))
        self.optimizer.zero_grad()
        (main + AUX_WEIGHT * aux).backward()
        self.optimizer.step()
        return main.item(), aux.item()

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.model.eval()
        with torch.no_grad():
            return self._run(images)[0].numpy()

    def fields(self, images: np.ndarray) -> list[np.ndarray]:
        self.model.eval()
        leaf = torch.from_numpy(images).requires_grad_()
        self._run(leaf)
        centres = [x[:, :, x.shape[2] // 2, x.shape[3] // 2].sum() for x in self.maps]
        return [
            torch.autograd.grad(centre, leaf, retain_graph=True)[0].numpy() for centre in centres
        ]

    def attention(self, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.model.eval()
        logits, _ = self._run(images)
        maps = self.maps[2]
        chosen = logits[torch.arange(len(labels)), torch.from_numpy(labels)].sum()
        return maps.detach().numpy(), torch.autograd.grad(chosen, maps)[0].numpy()

    def load(self, file: Path) -> None:
        self.model.load_state_dict(load_file(file), strict=False)  # counters may be missing

    def save(self, file: Path) -> None:
        save_file({name: x.contiguous() for name, x in self.model.state_dict().items()}, file)

    def _run(self, images: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        self.maps.clear()
        return self.model(torch.as_tensor(images, dtype=self.dtype))
