# UPerNet for small images and a CPU: an eighth of the width, images of any size; a leaf adds an arch as it
# does to upernet_overlock.py.
_base_ = './upernet_overlock.py'

model = dict(
    data_preprocessor=dict(size=None, size_divisor=32),
    decode_head=dict(channels=64),
    auxiliary_head=dict(channels=64),
)
