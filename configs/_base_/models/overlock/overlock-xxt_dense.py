# No weights are published.
backbone = dict(type='OverLoCK', arch='xxt', out_indices=(0, 1, 2, 3), init_cfg=None)
channels = [24, 48, 128, 160]
