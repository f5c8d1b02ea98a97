"""Train OverLoCK-XXT in one of the frameworks, on batches that do not depend on it.

    python train.py pytorch --data digits.npz --out runs/pytorch
    python train.py jittor --data digits.npz --out runs/jittor \
        --weights runs/pytorch/initial.safetensors

Writes log.csv (a row for each epoch), steps.csv (for each step), initial.safetensors and
last.safetensors. The rate rises in the first epoch and falls along a cosine to a hundredth.
"""

import argparse
import csv
import math
import time
from pathlib import Path

import numpy as np

from experiment import data, learner
from experiment.runs import WEIGHTS

EPOCH_COLUMNS = 'epoch train_loss train_loss_aux epoch_time val_loss acc_top1 acc_top5'.split()
STEP_COLUMNS = 'step loss loss_aux seconds'.split()


def rate_of(step: int, warm_up: int, steps: int, peak: float) -> float:
    """The learning rate of a step, counted from 0."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(steps - warm_up, 1)
    return peak * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def evaluate(model: learner.Learner, dataset: data.Data, batch: int) -> dict[str, float]:
    """Loss, and accuracies in percent, on the validation pictures."""
    logits = np.concatenate([model.logits(x) for x, _ in dataset.validation_batches(batch)])
    logits, labels = logits.astype(np.float64), dataset.val.labels
    shifted = logits - logits.max(1, keepdims=True)
    chosen = np.arange(len(labels)), labels
    losses = np.log(np.exp(shifted).sum(1)) - shifted[chosen]
    rank = (logits > logits[chosen][:, None]).sum(1)
    top1, top5 = (100 * (rank < k).mean() for k in (1, 5))
    return dict(val_loss=losses.mean(), acc_top1=top1, acc_top5=top5)


def train(model: learner.Learner, dataset: data.Data, args: argparse.Namespace) -> None:
    per_epoch = len(dataset.train.labels) // args.batch
    steps = per_epoch * args.epochs
    with (
        open(args.out / 'log.csv', 'w', encoding='utf-8', newline='') as log,
        open(args.out / 'steps.csv', 'w', encoding='utf-8', newline='') as every,
    ):
        epochs, single = csv.DictWriter(log, EPOCH_COLUMNS), csv.writer(every)
        epochs.writeheader()
        single.writerow(STEP_COLUMNS)
        step = 0
        for epoch in range(args.epochs):
            begin, losses = time.perf_counter(), []
            for images, labels in dataset.training_batches(epoch, args.seed, args.batch):
                start = time.perf_counter()
                losses.append(model.step(images, labels, rate_of(step, per_epoch, steps, args.lr)))
                single.writerow([step, *losses[-1], time.perf_counter() - start])
                step += 1
            seconds = time.perf_counter() - begin
            main, aux = np.mean(losses, axis=0)
            row = dict(epoch=epoch + 1, train_loss=main, train_loss_aux=aux, epoch_time=seconds)
            row |= evaluate(model, dataset, args.batch)
            epochs.writerow(row)
            log.flush(), every.flush()
            print('  '.join(f'{name} {value:.4g}' for name, value in row.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('framework', choices=learner.FRAMEWORKS)
    parser.add_argument('--data', type=Path, required=True, help='file of prepare.py')
    parser.add_argument('--out', type=Path, required=True, help='new folder for the run')
    parser.add_argument('--weights', type=Path, help='to start from; by default random ones')
    parser.add_argument('--epochs', type=int, default=100)
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--lr', type=float, default=1e-3, help='highest learning rate')
    parser.add_argument('--seed', type=int, default=0, help='of the batches')
    parser.add_argument('--float64', action='store_true', help='what the rounding is measured by')
    args = parser.parse_args()
    for name in ('epochs', 'batch', 'lr'):
        if getattr(args, name) <= 0:
            parser.error(f'--{name} {getattr(args, name)}: a positive number is needed')
    if args.float64 and args.framework == 'jittor':
        parser.error('--float64: only pytorch computes in it')
    for file in (args.data, args.weights):
        if file is not None and not file.is_file():
            parser.error(f'{file}: there is no such file')
    if (args.out / 'log.csv').exists():
        parser.error(f'--out {args.out}: it holds a run')
    dataset = data.load(args.data)
    if len(dataset.train.labels) < args.batch:
        parser.error(f'--batch {args.batch}: there are {len(dataset.train.labels)} pictures')
    args.out.mkdir(parents=True, exist_ok=True)
    model = learner.make(args.framework, len(dataset.classes), args.float64)
    if args.weights:
        model.load(args.weights)
    model.save(args.out / 'initial.safetensors')
    train(model, dataset, args)
    model.save(args.out / WEIGHTS)


if __name__ == '__main__':
    main()
