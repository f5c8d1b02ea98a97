backbone = dict(
    type='OverLoCK',
    arch='s',
    out_indices=(0, 1, 2, 3),
    drop_path_rate=0.4,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_s_in1k_224.pth',
    ),
)
channels = [64, 128, 448, 640]
