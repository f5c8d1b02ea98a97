"""Show what a model finds in pictures: python tools/infer.py CONFIG CHECKPOINT IMAGE..."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmengine.logging import MMLogger  # noqa: E402

from mmoverlock.apis import Inferencer, describe  # noqa: E402
from mmoverlock.engine import cli, config  # noqa: E402


def parse_args(argv: Sequence[str]):
    parser = cli.ArgumentParser(description='Show what a model finds in pictures.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument('images', nargs='+', metavar='IMAGE', help='file, folder or "pattern*.jpg"')
    parser.add_argument(
        '--out', metavar='DIR', help='where pictures go (default: ./work_dirs/<config name>/infer)'
    )
    parser.add_argument('--device', help='cpu, cuda, cuda:N (default: a GPU if there is one)')
    parser.add_argument(
        '--topk', type=int, default=5, metavar='N', help='classes a classifier names (default: 5)'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, metavar='S',
        help='least score of the objects a detector reports (default: 0.3)',
    )  # fmt: skip
    parser.add_argument(
        '--merge', action=argparse.BooleanOptionalAction, default=True,
        help='merge the large-kernel branches (the default)',
    )  # fmt: skip
    cli.add_config_arguments(parser)
    return parser.parse_args(argv)


@cli.command
def main(argv: Sequence[str]) -> None:
    args = parse_args(argv)
    if not args.debug:
        MMLogger.get_current_instance().setLevel('WARNING')
    cfg = config.load_config(args.config, args.cfg_options)
    model = Inferencer(
        cfg, args.checkpoint, args.device, args.topk, args.score_thr, merge=args.merge
    )
    good = bad = 0
    for result in model.run(args.images, args.out or Path(cfg.work_dir, 'infer')):
        if 'error' in result:
            bad += 1
            print(describe(result), file=sys.stderr)
        else:
            good += 1
            print(describe(result))
    if bad:
        raise ValueError(f'{bad} of {good + bad} images could not be used')


if __name__ == '__main__':
    main()
