"""Classification head of OverLoCK: main logits from `focus`, auxiliary ones from `overview`."""

from mmengine.registry import MODELS
from mmpretrain.models.heads import ClsHead
from torch import Tensor, nn

from .arch import get_arch
from .layers import Conv1x1, conv1x1_bn, init_weights


@MODELS.register_module()
class OverLoCKHead(ClsHead):
    """Loss = loss(main) + aux_weight · loss(aux); only the main logits count at test time.

    Args:
        num_classes: Number of classes.
        arch: The backbone's arch, from which the channels come.
        aux_weight: Weight of the auxiliary loss; 0 leaves the auxiliary head out.
        loss: Config of the classification loss.
        topk: Which accuracies to log if `cal_acc`.
        cal_acc: Log the training accuracy (not with mixed labels).
        init_cfg: MMEngine's.

    Raises:
        ValueError: for an unknown arch, or if `num_classes` is not positive.
    """

    def __init__(
        self,
        num_classes: int,
        arch: str | dict = 't',
        aux_weight: float = 0.4,
        loss: dict | None = None,
        topk: int | tuple[int, ...] = (1,),
        cal_acc: bool = False,
        init_cfg: dict | None = None,
    ):
        loss = loss or dict(type='CrossEntropyLoss', loss_weight=1.0, _scope_='mmpretrain')
        super().__init__(loss=loss, topk=topk, cal_acc=cal_acc, init_cfg=init_cfg)
        if num_classes <= 0:
            raise ValueError(f'num_classes={num_classes}: a positive number is needed')
        arch = get_arch(arch)
        self.num_classes = num_classes
        self.aux_weight = aux_weight
        self.main = nn.Sequential(
            *conv1x1_bn(arch.out_channels[3], arch.projection),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            Conv1x1(arch.projection, num_classes),
        )
        if aux_weight:
            self.aux = nn.Sequential(
                nn.BatchNorm2d(arch.embed_dim[3]),
                nn.AdaptiveAvgPool2d(1),
                Conv1x1(arch.embed_dim[3], num_classes),
            )
        self.apply(init_weights)

    def pre_logits(self, feats: tuple[Tensor, Tensor]) -> Tensor:
        """(focus, overview) → the pooled projection of focus, (B, projection)."""
        return self.main[:-1](feats[0]).flatten(1)

    def forward(self, feats: tuple[Tensor, Tensor]) -> Tensor:
        """(focus, overview) → main logits (B, num_classes)."""
        return self.main(feats[0]).flatten(1)

    def forward_aux(self, feats: tuple[Tensor, Tensor]) -> Tensor:
        """(focus, overview) → auxiliary logits (B, num_classes)."""
        return self.aux(feats[1]).flatten(1)

    def loss(self, feats: tuple[Tensor, Tensor], data_samples: list, **kwargs) -> dict[str, Tensor]:
        """Both losses, the auxiliary one already weighted, as ``loss`` and ``loss_aux``."""
        losses = self._get_loss(self(feats), data_samples, **kwargs)
        if self.aux_weight:
            aux = self._get_loss(self.forward_aux(feats), data_samples, **kwargs)
            losses['loss_aux'] = self.aux_weight * aux['loss']
        return losses
