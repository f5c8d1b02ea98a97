"""The image files of a data set: whether they are there, and as large as the annotations say."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmoverlock.datasets.formats.files import image_sizes, missing_files
from mmoverlock.utils.config import as_list, type_name, walk

_SIZES = 200  # images of which the size is looked at


def allowed_share(cfg: Config) -> float:
    """How many of the training images may be unreadable: what the run's ImageGuard allows."""
    guards = [one for one in as_list(cfg.get('custom_hooks')) if type_name(one) == 'ImageGuard']
    return next((one['max_share'] for one in guards if 'max_share' in one), 0.01)


def check_files_exist(
    dataset: Any, cfg: Mapping[str, Any], key: str, max_share: float = 0
) -> list[str]:
    """Look for the images, and the label images that are loaded, of a data set in memory.

    Args:
        dataset: Built; samples as dicts in ``data_list``.
        cfg: Its config.
        key: Its key.
        max_share: How many may be missing, 0 to 1: training skips them.

    Returns:
        A line if some are missing, but not too many.

    Raises:
        ValueError: more are missing.
    """
    if getattr(dataset, 'backend_args', None) or cfg.get('backend_args'):
        return []
    names = ['img_path']
    if _loads(cfg, 'LoadAnnotations'):
        names.append('seg_map_path')
    lines = []
    for name in names:
        paths = [one[name] for one in dataset.data_list if isinstance(one.get(name), str)]
        missing = missing_files(path for path in paths if '://' not in path)
        if not missing:
            continue
        listed = getattr(dataset, 'ann_file', '')
        where = f", listed in '{listed}'," if listed else ''
        what = 'images' if name == 'img_path' else 'label images'
        line = f"{key}: '{missing[0]}'{where} does not exist: {len(missing)} of {len(paths)} {what}"
        if name != 'img_path' or len(missing) > max_share * len(paths):
            raise ValueError(line)
        lines.append(f'{line}, which training skips')
    return lines


def check_sizes(dataset: Any, cfg: Mapping[str, Any], key: str) -> None:
    """Compare the annotations' widths and heights with some of the images.

    OpenCV turns an image as its EXIF tag says, unless the pipeline tells it not to.

    Raises:
        ValueError: an image has another size.
    """
    samples = [one for one in dataset.data_list if 'width' in one and 'height' in one]
    as_stored = any('ignore_orientation' in str(step.get('color_type'))
                    for _, step in walk(cfg.get('pipeline')))  # fmt: skip
    looked, wrong = 0, []
    for sample in spread(samples, _SIZES):
        try:
            ((width, height, turned),) = image_sizes([sample['img_path']])
        except ValueError:  # an unreadable image, which training skips and tells
            continue
        looked += 1
        real = (height, width) if turned and not as_stored else (width, height)
        if (sample['width'], sample['height']) != real:
            wrong.append((sample, real, turned))
    if wrong:
        sample, real, turned = wrong[0]
        advice = ''
        if turned:
            do = "'color'" if as_stored else "'color_ignore_orientation'"
            advice = f' as its EXIF tag turns it: set color_type={do} in LoadImageFromFile'
        raise ValueError(
            f'{key}: {len(wrong)} of {looked} images looked at are of another size than the '
            f"annotations state, the first: '{sample['img_path']}' is stated as "
            f'{sample["width"]}x{sample["height"]} and loaded as {real[0]}x{real[1]}{advice}'
        )


def _loads(cfg: Mapping[str, Any], name: str) -> bool:
    return any(name in str(step.get('type')) for _, step in walk(cfg.get('pipeline')))


def spread(samples: Sequence[Any], number: int) -> Sequence[Any]:
    """At most `number` of the samples, at equal distances."""
    return samples[:: max(1, -(-len(samples) // number))]
