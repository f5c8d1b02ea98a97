"""The effective receptive field of the four stages (Luo et al. 2016, arXiv 1701.04128).

    python erf.py jittor RUN --data digits.npz

RUN is a folder of train.py. Writes RUN/erf.npz: of each stage, (H, W), the absolute gradient of the
map's centre with respect to the pixels, added over their channels, averaged over pictures.
"""

import numpy as np

from experiment.learner import STAGES
from experiment.runs import open_run

PICTURES = 32


def main() -> None:
    run, data, model = open_run(__doc__.splitlines()[0])
    images = data.normalised(data.val.images[data.spread(PICTURES)])
    fields = (abs(field).sum(1).mean(0) for field in model.fields(images))
    np.savez(run / 'erf.npz', **dict(zip(STAGES, fields, strict=True)))


if __name__ == '__main__':
    main()
