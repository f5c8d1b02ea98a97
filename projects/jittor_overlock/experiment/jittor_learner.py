"""The learner in Jittor."""

from pathlib import Path

import jittor as jt
import numpy as np
from jittor import nn

from jittor_overlock import OverLoCK, load_weights, save_weights

from .learner import AUX_WEIGHT, WEIGHT_DECAY


class JittorLearner:
    """See :class:`.learner.Learner`."""

    def __init__(self, classes: int):
        self.model = OverLoCK('xxt', classes)
        parameters = [p for p in self.model.parameters() if not p.is_stop_grad()]
        groups = [
            dict(params=[p for p in parameters if p.ndim > 1], weight_decay=WEIGHT_DECAY),
            dict(params=[p for p in parameters if p.ndim == 1], weight_decay=0),
        ]
        self.optimizer = jt.optim.AdamW(groups, lr=0)

    def step(self, images: np.ndarray, labels: np.ndarray, rate: float) -> tuple[float, float]:
        self.model.train()
        self.optimizer.lr = rate
        targets = jt.array(labels)
        losses = [nn.cross_entropy_loss(x, targets) for x in self.model(jt.array(images))]
        main, aux = losses
        self.optimizer.step(main + AUX_WEIGHT * aux)
        return main.item(), aux.item()

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.model.eval()
        with jt.no_grad():
            return self.model(jt.array(images))[0].numpy()

    def fields(self, images: np.ndarray) -> list[np.ndarray]:
        self.model.eval()
        images = jt.array(images).start_grad()
        maps, _ = self.model.backbone(images)
        centres = [x[:, :, x.shape[2] // 2, x.shape[3] // 2].sum() for x in maps]
        return [jt.grad(centre, images).numpy() for centre in centres]

    def attention(self, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.model.eval()
        images = jt.array(images).start_grad()
        maps, overview = self.model.backbone(images)
        logits, _ = self.model.head(maps[-1], overview)
        chosen = logits[jt.arange(len(labels)), jt.array(labels)].sum()
        return maps[2].numpy(), jt.grad(chosen, maps[2]).numpy()

    def load(self, file: Path) -> None:
        load_weights(self.model, file)

    def save(self, file: Path) -> None:
        save_weights(self.model, file)
