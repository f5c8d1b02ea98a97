# UPerNet on ADE20K for any arch; map 2 goes to the auxiliary head, too. A leaf adds
#     channels = _base_.pop('channels')
#     model = dict(backbone=_base_.pop('backbone'), decode_head=dict(in_channels=channels),
#                  auxiliary_head=dict(in_channels=channels[2]))
_base_ = 'mmseg::_base_/models/upernet_r50.py'

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    pretrained=None,
    backbone=dict(_delete_=True),
    decode_head=dict(num_classes=150),
    auxiliary_head=dict(num_classes=150),
)
sync_bn = 'torch'  # with several GPUs; one process keeps BatchNorm
