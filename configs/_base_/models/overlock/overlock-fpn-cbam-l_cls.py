# ImageNet-100 on workstations, "max": 144.35 M parameters, with gradient checkpointing. No published arch
# is so large: this one is b at 1.17 times its width, so there are no weights to start from.
_base_ = './overlock-fpn-cbam-m_cls.py'

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            depth=(8, 8, 10, 4),
            sub_depth=(20, 4),
            embed_dim=(96, 192, 448, 672),
            kernel_size=(17, 15, 13, 7),
            sub_num_heads=(7, 12),
        ),
        drop_path_rate=0.5,  # b's
        use_checkpoint=(8, 8, 20, 4),  # all blocks
    ),
    neck=[
        dict(type='CBAMFPN', in_channels=[96, 192, 616, 840], out_channels=512, reduction=64),
        dict(type='ConcatPooling'),
    ],
    head=dict(in_channels=4 * 512, mid_channels=[4 * 512]),
)
