"""Write a data set as one file of arrays, which both frameworks read.

    python prepare.py digits --out digits.npz
    python prepare.py tiny-imagenet --root ../../data/tiny-imagenet --out tiny-imagenet-20.npz

`digits` are scikit-learn's, enlarged to 64×64; of Tiny-ImageNet it takes the first 20 classes.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from experiment.data import Data, Split, save
from mmoverlock.datasets import Digits, TinyImageNet

SIDE = 64
CLASSES = 20  # of Tiny-ImageNet, as published


def picture(sample: dict) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8 in RGB."""
    image = Image.fromarray(sample['img']) if 'img' in sample else Image.open(sample['img_path'])
    image = image.convert('RGB')
    return np.asarray(image if image.size == (SIDE, SIDE) else image.resize((SIDE, SIDE)))


def split(dataset) -> Split:
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    labels = np.array([sample['gt_label'] for sample in samples], np.int64)
    return Split(np.stack([picture(sample) for sample in samples]), labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('dataset', choices=('digits', 'tiny-imagenet'))
    parser.add_argument('--root', type=Path, help='folder of Tiny-ImageNet')
    parser.add_argument('--out', type=Path, required=True, help='.npz')
    args = parser.parse_args()
    digits = args.dataset == 'digits'
    if not digits and args.root is None:
        parser.error('tiny-imagenet needs --root, its folder')
    try:
        sets = [
            Digits(name) if digits else TinyImageNet(args.root, name, CLASSES)
            for name in ('train', 'val')
        ]
    except ValueError as error:
        parser.error(str(error))
    train, val = map(split, sets)
    mean, std = (
        function(train.images, axis=(0, 1, 2)).astype(np.float32) for function in (np.mean, np.std)
    )
    save(Data(train, val, [*sets[0].metainfo['classes']], mean, std, not digits), args.out)


if __name__ == '__main__':
    main()
