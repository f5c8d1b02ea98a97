backbone = dict(
    type='OverLoCK',
    arch='t',
    out_indices=(0, 1, 2, 3),
    drop_path_rate=0.2,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_t_in1k_224.pth',
    ),
)
channels = [64, 128, 384, 640]
