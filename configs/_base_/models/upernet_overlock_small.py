# UPerNet for small images and a CPU: an eighth of the width, images of any size; a leaf adds an arch as it
# does to upernet_overlock.py. The last layer's weights start larger than mmseg's 0.01: with those the classes
# are told apart hundreds of steps later.
_base_ = './upernet_overlock.py'

_head = dict(channels=64, init_cfg=dict(type='Normal', std=0.1, override=dict(name='conv_seg')))
model = dict(
    data_preprocessor=dict(size=None, size_divisor=32), decode_head=_head, auxiliary_head=_head
)
