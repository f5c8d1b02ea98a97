backbone = dict(
    type='OverLoCK',
    arch='xt',
    out_indices=(0, 1, 2, 3),
    drop_path_rate=0.1,  # not published for dense prediction: the ImageNet rate
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_xt_in1k_224.pth',
    ),
)
channels = [56, 112, 340, 420]
