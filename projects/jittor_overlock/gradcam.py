"""Grad-CAM of pictures of the validation set (Selvaraju et al. 2017, arXiv 1610.02391).

    python gradcam.py jittor RUN --data digits.npz

RUN is a folder of train.py. Writes RUN/gradcam.npz: `pictures`, their positions in the set, `maps`
(N, H, W), which speak for the pictures' own classes, of stage 3, and `predicted`, classes.
"""

import numpy as np

from experiment.runs import open_run

PICTURES = 8


def main() -> None:
    run, data, model = open_run(__doc__.splitlines()[0])
    chosen = data.spread(PICTURES)
    images = data.normalised(data.val.images[chosen])
    maps, grads = model.attention(images, data.val.labels[chosen])
    weights = grads.mean((2, 3), keepdims=True)
    cams = np.maximum((weights * maps).sum(1), 0)
    predicted = model.logits(images).argmax(1)
    np.savez(run / 'gradcam.npz', pictures=chosen, maps=cams, predicted=predicted)


if __name__ == '__main__':
    main()
