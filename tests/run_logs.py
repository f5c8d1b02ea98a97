"""Logs as MMEngine and EpochTable leave them, tiny and of known values."""

import json
from pathlib import Path

COLUMNS = 'epoch,train_loss,train_loss_aux,epoch_time,val_loss,acc_top1,acc_top5\n'


def write_log(folder: Path, rows: list[dict], stamp: str = '2026_1') -> Path:
    """The scalars.json of a work_dir's time-stamped folder."""
    path = folder / stamp / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return path


def write_table(folder: Path, *rows: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'epochs.csv'
    path.write_text(COLUMNS + ''.join(f'{row}\n' for row in rows))
    return path


def classifier(folder: Path, epochs: int = 3) -> Path:
    """Of 4 steps an epoch, logged at the 1st and the 3rd, half a second each; with epochs.csv."""
    rows, table = [], []
    for epoch in range(1, epochs + 1):
        for step in (4 * epoch - 3, 4 * epoch - 1):
            rows.append(dict(lr=0.1, loss=8.0 / step, time=0.5, epoch=epoch, iter=step, step=step))
        found = {'accuracy/top1': 50.0 + epoch, 'val/cross_entropy': 1.0 / epoch, 'time': 0.1}
        rows.append({**found, 'step': epoch})
        table.append(f'{epoch},{5 / epoch},,2,{1 / epoch},{50 + epoch},')
    write_log(folder, rows)
    write_table(folder, *table)
    return folder


def detector(folder: Path, maps: tuple[float, ...] = (0.1, 0.3, 0.2)) -> Path:
    """By iteration: losses at the steps 10, 20, ..., a validation after each."""
    rows = []
    for index, value in enumerate(maps, 1):
        loss = dict(lr=0.1 / index, loss=3.0 / index, loss_cls=1.0 / index, grad_norm=2.0)
        rows.append({**loss, 'time': float(index), 'step': 10 * index})
        rows.append({'coco/bbox_mAP': value, 'coco/bbox_mAP_l': -1.0, 'time': 0.5, 'step': 0})
    write_log(folder, rows)
    return folder
