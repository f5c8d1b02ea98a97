backbone = dict(
    type='OverLoCK',
    arch='b',
    out_indices=(0, 1, 2, 3),
    drop_path_rate=0.6,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_b_in1k_224.pth',
    ),
)
channels = [80, 160, 528, 720]
