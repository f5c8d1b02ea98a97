"""Label images in every layout and coding train as the same labels; bad ones get one clear line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from mmoverlock.datasets.formats import (
    LabelData,
    find_format,
    read_labels,
    write_pairs,
)

from .label_scenes import CLASSES, DIVIDED, HEIGHT, LAYOUTS, UNDIVIDED, WIDTH, labels, lay_out, save

COLOURS = np.array([(0, 0, 0), (200, 10, 30), (64, 128, 255)], np.uint8)
TABLE = ''.join(f'{r} {g} {b}\tclass {i}\n' for i, (r, g, b) in enumerate(COLOURS))
SIZE = HEIGHT, WIDTH


def tree(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob('*') if path.is_file()}


def read(root: Path, folder: Path | None = None) -> LabelData:
    """Read `root` and see that nothing in it changes."""
    before = tree(root)
    data = read_labels(root, folder or root.with_name('work'), 'label_images')
    assert tree(root) == before
    return data


def trained(data: LabelData, folder: Path, split: str) -> list[np.ndarray]:
    """The labels as mmseg's pipeline delivers them; pictures and labels have one size."""
    path = write_pairs(data, folder)[split]
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    with DefaultScope.overwrite_default_scope('mmseg'):
        cfg = dict(type='LabelledImages', ann_file=str(path), pipeline=pipeline)
        dataset = DATASETS.build(dict(cfg, serialize_data=False))
        samples = list(dataset)
    assert dataset.metainfo['classes'] == list(data.classes)
    assert [tuple(one) for one in dataset.metainfo['palette']] == list(data.palette)
    for sample in samples:
        assert sample['img'].shape[:2] == sample['gt_seg_map'].shape
    return [sample['gt_seg_map'] for sample in samples]


def assert_trains(data: LabelData, folder: Path, numbers=None, expected=labels) -> None:
    for split, those in (numbers or DIVIDED).items():
        found = trained(data, folder, split)
        assert len(found) == len(those)
        for labels_found, number in zip(found, those, strict=True):
            np.testing.assert_array_equal(labels_found, expected(number))


@pytest.mark.parametrize('layout', LAYOUTS)
def test_divided_layouts(tmp_path, layout):
    root = tmp_path / 'data'
    lay_out(root, layout)
    data = read(root)
    assert list(data.splits) == ['train', 'val']
    assert_trains(data, tmp_path)
    assert data.notes == []
    assert find_format(root, 'segmentation') == 'label_images'


@pytest.mark.parametrize('layout', UNDIVIDED)
def test_undivided_layouts_hold_out_every_fifth(tmp_path, layout):
    root = tmp_path / 'data'
    lay_out(root, layout)
    numbers = dict(train=[0, 1, 2, 3, 5, 6, 7, 8], val=[4, 9])
    assert_trains(read(root), tmp_path, numbers)


def test_files_that_train_are_used_in_place(tmp_path):
    files = lay_out(tmp_path / 'data')
    data = read(tmp_path / 'data')
    assert [label for _, label in data.splits['train']] == [one['label'] for one in files[:6]]
    assert not (tmp_path / 'work').exists()


def test_test_split(tmp_path):
    lay_out(tmp_path / 'data', numbers=dict(train=range(3), val=range(3, 5)))
    for name in ('images', 'masks'):
        (tmp_path / 'data' / name / 'test').mkdir()
    assert list(read(tmp_path / 'data').splits) == ['train', 'val']
    for name, end in (('images', 'jpg'), ('masks', 'png')):
        (tmp_path / 'data' / name / 'val' / f'p4.{end}').rename(
            tmp_path / 'data' / name / 'test' / f'p4.{end}'
        )
    splits = read(tmp_path / 'data').splits
    assert {split: len(pairs) for split, pairs in splits.items()} == dict(train=3, val=1, test=1)


def palette_image(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values)
    image.putpalette(COLOURS.ravel().tolist())
    return image


def quantized(values: np.ndarray) -> Image.Image:
    """As a program stores colours: the palette of each file in another order."""
    order = np.roll(np.arange(CLASSES), values[0, -1])
    image = Image.fromarray(np.argsort(order).astype(np.uint8)[values])
    image.putpalette(COLOURS[order].ravel().tolist())
    return image


def with_alpha(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([COLOURS[values], np.full(SIZE, 255, np.uint8)]))


# How labels are stored, and the files that tell what they mean.
CODINGS = {
    'palette': (palette_image, {}),
    '16 bits': (lambda values: Image.fromarray(values.astype(np.uint16)), {}),
    'grey RGB': (lambda values: Image.fromarray(np.dstack([values] * 3)), {}),
    'grey with alpha': (lambda values: Image.fromarray(np.dstack([values, values * 0 + 255])), {}),
    'colours': (lambda values: Image.fromarray(COLOURS[values]), {'label_colors.txt': TABLE}),
    'colours, alpha': (with_alpha, {'label_colors.txt': TABLE}),
    'palettes that differ': (quantized, {'label_colors.txt': TABLE}),
    'values of a text file': (
        lambda values: Image.fromarray(values * 80 + 5),
        {'classes.txt': '5 class 0\n85 class 1\n165 class 2\n'},
    ),
    'values of a YAML file': (
        lambda values: Image.fromarray(255 - values),
        {'data.yaml': 'names:\n  255: class 0\n  254: class 1\n  253: class 2\n'},
    ),
}


@pytest.mark.parametrize('coding', CODINGS)
def test_codings(tmp_path, coding):
    encode, files = CODINGS[coding]
    lay_out(tmp_path / 'data', encode=encode)
    for name, text in files.items():
        (tmp_path / 'data' / name).write_text(text)
    data = read(tmp_path / 'data')
    ordered = sorted(data.classes)  # by the values, from 253 on
    mapping = np.array([data.classes.index(name) for name in ordered], np.uint8)
    assert ordered == ['class 0', 'class 1', 'class 2']
    assert_trains(data, tmp_path, expected=lambda number: mapping[labels(number)])
    if 'colours' in coding or 'palette' in coding:
        assert data.palette == tuple(map(tuple, COLOURS.tolist()))


@pytest.mark.parametrize(
    ('suffix', 'kind'),
    [
        *((suffix, np.uint8) for suffix in ('bmp', 'tif', 'gif', 'pgm')),
        *(('tif', kind) for kind in (np.float32, np.int32)),
    ],
)
def test_other_kinds_of_files(tmp_path, suffix, kind):
    for one in lay_out(tmp_path / 'data'):
        values = np.asarray(Image.open(one['label'])).astype(kind)
        one['label'].unlink()
        Image.fromarray(values).save(one['label'].with_suffix(f'.{suffix}'))
    assert_trains(read(tmp_path / 'data'), tmp_path)


@pytest.mark.parametrize(
    'encode',
    [
        lambda values: Image.fromarray((values > 0).astype(np.uint8) * 255),
        lambda values: Image.fromarray(values > 0),
        lambda values: Image.fromarray((values > 0).astype(np.uint8)),
        lambda values: Image.fromarray(np.dstack([(values > 0).astype(np.uint8) * 255] * 3)),
        lambda values: Image.fromarray((values > 0).astype(np.uint16) * 65535),
    ],
    ids=['0 and 255', '1 bit', '0 and 1', 'black and white', '16 bits'],
)
@pytest.mark.parametrize(
    ('listed', 'names'),
    [(None, None), ('ground\ncrack', ('ground', 'crack')), ('crack', ('background', 'crack'))],
)
def test_masks_have_two_classes(tmp_path, encode, listed, names):
    lay_out(tmp_path / 'data', encode=encode)
    whole = np.asarray(encode(labels(0))).max() > 1
    if listed:
        (tmp_path / 'data' / 'classes.txt').write_text(listed)
    if listed == 'crack' and not whole:  # 0 and 1: two classes, one name
        with pytest.raises(ValueError, match='value 1 in '):
            read(tmp_path / 'data')
        return
    data = read(tmp_path / 'data')
    default = ('background', 'foreground') if whole else ('class 0', 'class 1')
    assert data.classes == (names or default)
    assert_trains(data, tmp_path, expected=lambda number: (labels(number) > 0).astype(np.uint8))
    assert [note for note in data.notes if '255' in note or '65535' in note] == data.notes
    assert bool(data.notes) == whole


def test_255_is_ignored_beside_other_values(tmp_path):
    def encode(values):
        values = values.copy()
        values[0] = 255
        return Image.fromarray(values)

    lay_out(tmp_path / 'data', encode=encode)
    data = read(tmp_path / 'data')
    assert len(data.classes) == CLASSES
    assert_trains(data, tmp_path, expected=lambda number: np.asarray(encode(labels(number))))
    assert 'train has 10.00% of its pixels ignored (label 255)' in data.notes


@pytest.mark.parametrize(
    ('name', 'text', 'expected'),
    [
        ('classes.txt', 'road\n car park \n\nsky\n', ('road', 'car park', 'sky')),
        ('labels.txt', '__ignore__\n_background_\nroad\nsky', ('_background_', 'road', 'sky')),
        ('names.txt', '\ufeff0: road\n1: car park\n2: sky', ('road', 'car park', 'sky')),
        ('classes.txt', '2 sky\n0 road\n1 car\n255 void', ('road', 'car', 'sky')),
        ('classes.txt', '0\n1\n2', ('0', '1', '2')),
        ('labels.txt', 'road 1 2 3\ncar park 4 5 6\nsky 7 8 9', ('road', 'car park', 'sky')),
        ('labelmap.txt', '# label:color_rgb:parts:actions\na:1,2,3::\nb:4,5,6::\nc:7,8,9::', 'abc'),
        ('class_dict.csv', 'name,r,g,b\na,1,2,3\nb, 4, 5, 6\nc,7,8,9\n', 'abc'),
        ('_classes.csv', 'Pixel Value, Class\n0, road\n1, car\n2, sky\n', ('road', 'car', 'sky')),
        ('data.yaml', 'train: images\nnames: [a, b, c]', 'abc'),
        ('classes.yaml', 'names: {0: a, 2: c, 1: b}\n', 'abc'),
        ('dataset.yml', 'names: [a, b, c]\npalette: [[1, 2, 3], [4, 5, 6], [7, 8, 9]]', 'abc'),
    ],
)
def test_class_names(tmp_path, name, text, expected):
    lay_out(tmp_path / 'data')
    (tmp_path / 'data' / name).write_text(text, encoding='utf-8')
    data = read(tmp_path / 'data')
    assert data.classes == tuple(expected)
    assert_trains(data, tmp_path)
    if '4' in text:
        assert data.palette == ((1, 2, 3), (4, 5, 6), (7, 8, 9))


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('classes.txt', 'a\nb\na', "has the class 'a' twice"),
        ('classes.txt', '0 a\n0 b', "has the value '0' twice"),
        ('label_colors.txt', '1 2 3 a\n1 2 3 b', r"has the colour '\(1, 2, 3\)' twice"),
        ('label_colors.txt', '1 2 3 a\n1 2 300 b', r'\[1, 2, 300\] is no colour'),
        (
            'classes.txt',
            '\n'.join(f'c{i}' for i in range(256)),
            'has 256 classes: 1 to 255 are possible',
        ),
        ('labels.txt', '__ignore__\n', 'has 0 classes: 1 to 255'),
        ('data.yaml', 'names: [a, b]\npalette: [[1, 2, 3], null]', 'values or colours for some of'),
        ('data.yaml', 'names: {x: a}', 'the keys of `names` are not all numbers'),
        ('data.yaml', 'names: [a', 'is not YAML'),
        ('data.yaml', 'names: [a, b]\npalette: [[1, 2, 3]]', '`palette` is not a list of 2'),
        (
            'classes.txt',
            'a\nb',
            "p0.png': value 2 in .* allowed are 0 to 1 and 255 .ignored. for the 2 classes",
        ),
    ],
)
def test_mistakes_in_class_names(tmp_path, name, text, message):
    lay_out(tmp_path / 'data')
    (tmp_path / 'data' / name).write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path / 'data')
    assert '\n' not in str(error.value)


def test_writing_is_done_once(tmp_path):
    root, work = tmp_path / 'data', tmp_path / 'work'
    files = lay_out(root, encode=CODINGS['16 bits'][0])
    data = read(root, work)
    targets = [label for pairs in data.splits.values() for _, label in pairs]
    assert targets[0] == work / 'train' / 'p0.png'
    before, times = tree(work), [path.stat().st_mtime_ns for path in targets]
    assert read(root, work) == data
    assert [path.stat().st_mtime_ns for path in targets] == times
    targets[1].unlink()
    read(root, work)
    assert tree(work) == before
    save(files[0]['label'], CODINGS['16 bits'][0](labels(7)))
    read(root, work)
    np.testing.assert_array_equal(np.asarray(Image.open(targets[0])), labels(7))


# Unusual files that train. Each changes the first pair of `lay_out(tmp_path / 'data')`.


def test_pictures_of_all_kinds(tmp_path):
    files = lay_out(tmp_path / 'data')
    rgb = Image.open(files[0]['picture']).convert('RGB')
    cmyk = rgb.convert('CMYK')
    deep = Image.fromarray(np.asarray(rgb.convert('L')).astype(np.uint16) * 257)
    kinds = [(cmyk, 'jpg'), (deep, 'png'), (rgb.convert('P'), 'png'), (rgb.convert('L'), 'bmp')]
    kinds += [(rgb.convert('RGBA'), 'tiff'), (rgb.convert('1'), 'webp')]
    for one, (image, suffix) in zip(files, kinds, strict=False):
        one['picture'].unlink()
        image.save(one['picture'].with_suffix(f'.{suffix.upper()}'))
    data = read(tmp_path / 'data')
    assert_trains(data, tmp_path)
    assert data.notes == []


def test_names_and_hidden_files(tmp_path):
    root = tmp_path / 'my däta'
    for one in lay_out(root):
        for path in one.values():
            path.rename(path.with_name(f'größe {path.stem} 图.x{path.suffix}'))
            path.with_name(f'._{path.name}').write_bytes(b'from a Mac')
            (path.parent / '.thumbnails').mkdir(exist_ok=True)
            (path.parent / '.thumbnails' / path.name).write_bytes(b'')
            (path.parent / 'Thumbs.db').write_bytes(b'')
    assert_trains(read(root), tmp_path)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('labelled', ['as shown', 'as stored'])
def test_pictures_that_exif_turns(tmp_path, orientation, labelled):
    """A label image of the picture's size as stored is turned; it has no tag of its own."""
    files = lay_out(tmp_path / 'data')
    picture = Image.open(files[0]['picture'])
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(files[0]['picture'], exif=exif)
    sideways = orientation >= 5
    values = labels(0)
    if sideways and labelled == 'as shown':
        save(files[0]['label'], Image.fromarray(values.T))
    data = read(tmp_path / 'data')
    found = trained(data, tmp_path, 'train')[0]
    if not sideways:
        expected = values  # it may be either, so it is left as it is, and a note says so
        assert any('as their pictures are by EXIF' in note for note in data.notes) == (
            orientation > 1
        )
    else:
        turns = {5: lambda x: x.T, 6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(x.T, 2)}
        turns[8] = np.rot90
        expected = values.T if labelled == 'as shown' else turns[orientation](values)
        assert any('turned by' in note for note in data.notes) == (labelled == 'as stored')
    np.testing.assert_array_equal(found, expected)


def test_notes(tmp_path):
    files = lay_out(tmp_path / 'data')
    files[0]['label'].unlink()
    save(files[1]['label'], Image.fromarray(np.full(SIZE, 255, np.uint8)))
    frames = [Image.new('RGB', (WIDTH, HEIGHT), colour) for colour in ('red', 'blue')]
    files[2]['picture'].unlink()
    save(
        files[2]['picture'].with_suffix('.png'), frames[0], save_all=True, append_images=frames[1:]
    )
    for one in files[6:]:
        save(one['label'], Image.fromarray(np.minimum(np.asarray(Image.open(one['label'])), 1)))
    (tmp_path / 'data' / 'classes.txt').write_text('a\nb\nc\nd\n')
    data = read(tmp_path / 'data')
    first, second = files[0]['picture'], files[1]['label']
    third = files[2]['picture'].with_suffix('.png')
    assert data.notes == [
        f"pictures without a label image, left out: 1 (first: '{first}')",
        f"label images whose pixels are all ignored: 1 (first: '{second}')",
        f"pictures of several frames, the first is used: 1 (first: '{third}')",
        "classes without a pixel in train: 1 ('d')",
        'train has 20.00% of its pixels ignored (label 255)',
        "classes without a pixel in val: 2 ('c', 'd')",
    ]
    assert len(trained(data, tmp_path, 'train')) == 5


# Files that cannot train: the change to the data, and the line that says so.


def truncate(path: Path, end: int) -> None:
    path.write_bytes(path.read_bytes()[:end])


def replace(path: Path, image: Image.Image, suffix: str = '', **options) -> None:
    path.unlink()
    save(path.with_suffix(suffix or path.suffix), image, **options)


def fill(value, kind=np.uint8):
    def change(files):
        values = labels(0).astype(kind)
        values[3, 4] = value
        replace(files[0]['label'], Image.fromarray(values), '.tif')
        (files[0]['label'].parents[2] / 'classes.txt').write_text('a\nb\nc')

    return change


def colour_one(files):
    (files[0]['label'].parents[2] / 'label_colors.txt').write_text(TABLE)
    for one in files:
        rgb = COLOURS[np.asarray(Image.open(one['label']))]
        rgb[2, 2] = (9, 8, 7) if one is files[0] else rgb[2, 2]
        save(one['label'], Image.fromarray(rgb))


def every(change):
    return lambda files: [change(one['label']) for one in files]


def rewrite(encode):
    return every(lambda path: save(path, encode(np.asarray(Image.open(path)))))


def soft_edges(values):
    ramp = np.linspace(0, 255, 30).astype(np.uint8)
    mask = (values > 0).astype(np.uint8) * 255
    mask[0], mask[1] = ramp[:WIDTH], ramp[-WIDTH:]
    return Image.fromarray(mask)


def twice(key, suffix):
    return lambda files: save(files[0][key].with_suffix(suffix), Image.open(files[0][key]))


BAD = {
    'value beyond the classes': (fill(7), "p0.tif': value 7 in 1 pixels; allowed are 0 to 2 and 255 .ignored. for the 3 classes of '.*classes.txt'"),
    'value of 16 bits': (fill(300, np.uint16), "p0.tif': value 300 in 1 pixels"),
    'negative value': (fill(-1, np.int32), "p0.tif': value -1 in 1 pixels"),
    'fraction': (fill(0.5, np.float32), "p0.tif': value 0.5: whole numbers are needed"),
    'not a number': (fill(np.nan, np.float32), "p0.tif': value nan: whole numbers"),
    'colour not listed': (colour_one, r"p0.png': colour \(9, 8, 7\) in 1 pixels; allowed are those of the 3 classes of '.*label_colors.txt'"),
    'colours, no list': (rewrite(lambda values: Image.fromarray(COLOURS[values])), r"p0.png' has colours, such as \(.*label_colors.txt', one class a line"),
    'palettes differ, no list': (rewrite(quantized), r"value 0 is \(.*\) in the palette of '.*p0.png', \(.*\) in that of '.*p1.png': list the classes in"),
    'photograph': (lambda files: replace(files[0]['label'], Image.effect_noise((99, 99), 50).convert('RGB').resize((WIDTH, HEIGHT))), 'has|colours|values'),
    'soft edges': (rewrite(soft_edges), "p0.png' has soft edges: 2[0-9] grey levels between 0 and 255"),
    'grey levels': (rewrite(lambda values: Image.fromarray(values * 80)), "the values of .*, 0, 80, 160, do not count up from 0: list what they mean in '.*classes.txt'"),
    'picture gone': (lambda files: files[0]['picture'].unlink(), "p0.png': there is no picture of this name in '.*images/train'"),
    'pictures gone': (lambda files: [one['picture'].unlink() for one in files[:2]], "p0.png': there is no picture.* .and 1 more."),
    'other names': (every(lambda path: path.rename(path.with_name(f'mask-{path.name}'))), "no label image in '.*masks/train' is called like a picture in '.*images/train', such as 'mask-p0.png' and 'p0.jpg'"),
    'sizes differ': (lambda files: replace(files[0]['label'], Image.new('L', (WIDTH + 1, HEIGHT))), "p0.png': 13 x 10 pixels, its picture has 12 x 10"),
    'sizes swapped': (lambda files: replace(files[0]['label'], Image.new('L', (HEIGHT, WIDTH))), "p0.png': 10 x 12 pixels, its picture has 12 x 10"),
    'JPEG': (every(lambda path: replace(path, Image.open(path), '.jpg')), "p0.jpg': JPEG changes the values of a label image, PNG is needed: .* .and 8 more."),
    'JPEG with the suffix of PNG': (lambda files: replace(files[0]['label'], Image.fromarray(labels(0)), format='JPEG'), "p0.png': JPEG changes"),
    'WebP': (lambda files: replace(files[0]['label'], Image.fromarray(labels(0)), '.webp'), "p0.webp': WEBP changes"),
    'animated label image': (lambda files: replace(files[0]['label'], Image.fromarray(labels(0)), save_all=True, append_images=[Image.fromarray(labels(1))]), "p0.png': a label image of 2 frames"),
    'empty label image': (lambda files: files[0]['label'].write_bytes(b''), r"p0.png': it is empty \(0 bytes\)"),
    'empty picture': (lambda files: files[0]['picture'].write_bytes(b''), r"p0.jpg': it is empty \(0 bytes\)"),
    'broken label image': (lambda files: truncate(files[0]['label'], 50), "p0.png': it is (cut short|damaged)"),
    'broken picture': (lambda files: truncate(files[0]['picture'], -20), "p0.jpg': it is cut short"),
    'text as a label image': (lambda files: files[0]['label'].write_text('labels'), "p0.png': it is damaged, or no image"),
    'picture of 32 bits': (lambda files: replace(files[0]['picture'], Image.fromarray(np.ones(SIZE, np.float32)), '.tif'), "p0.tif': it has 32 bits a channel"),
    'two pictures': (twice('picture', '.png'), "two pictures have one name: '.*p0.*', '.*p0.*'"),
    'two label images': (twice('label', '.bmp'), "two label images have one name: '.*p0.bmp', '.*p0.png'"),
    'one class': (rewrite(lambda values: Image.fromarray(values * 0)), "for training have one class alone, 'class 0': there is nothing to learn"),
    'one class of a mask': (rewrite(lambda values: Image.fromarray(values * 0 + 255)), 'all pixels of the label images in .* are ignored'),
    'validation ignored': (lambda files: [replace(one['label'], Image.new('L', (WIDTH, HEIGHT), 255)) for one in files[6:]], 'for validation are ignored everywhere: there is nothing to evaluate'),
    'only validation': (lambda files: [path.unlink() for one in files[:6] for path in one.values()], 'has label images, but none for training'),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_bad_data_get_one_line(tmp_path, case):
    change, message = BAD[case]
    change(lay_out(tmp_path / 'data'))
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path / 'data')
    assert '\n' not in str(error.value) and len(str(error.value)) < 600


def test_few_pictures_and_lists_with_strange_names(tmp_path):
    lay_out(tmp_path / 'voc', 'VOC')
    (tmp_path / 'voc/ImageSets/Segmentation/val.txt').write_text('p6\np0\n')
    first = tmp_path / 'voc' / 'JPEGImages' / 'p0.jpg'
    note = f"pictures for both training and validation: 1 (first: '{first}')"
    assert read(tmp_path / 'voc').notes == [note]
    (tmp_path / 'voc/ImageSets/Segmentation/val.txt').write_text('p6\np77\n')
    with pytest.raises(ValueError, match="val.txt' lists 'p77', '.*JPEGImages' has no such image"):
        read(tmp_path / 'voc')
    for one in lay_out(tmp_path / 'flat', 'flat')[4:]:
        for path in one.values():
            path.unlink()
    with pytest.raises(ValueError, match='has 4 pictures with label images: of at least 5'):
        read(tmp_path / 'flat')
    with pytest.raises(ValueError, match='has no folder of pictures and one of label images'):
        read(tmp_path / 'voc' / 'JPEGImages')


def test_many_files_are_read_in_processes(tmp_path):
    numbers = dict(train=range(10, 70), val=range(70, 80))  # two digits, in their order
    lay_out(tmp_path / 'data', encode=CODINGS['16 bits'][0], numbers=numbers)
    assert_trains(read(tmp_path / 'data'), tmp_path, numbers)


def test_what_is_written_depends_on_nothing_else(tmp_path):
    """The same bytes in another folder, and no scratch files."""
    lay_out(tmp_path / 'data', encode=CODINGS['colours'][0])
    (tmp_path / 'data' / 'label_colors.txt').write_text(TABLE)
    read(tmp_path / 'data', tmp_path / 'a')
    read(tmp_path / 'data', tmp_path / 'b')
    one, other = (
        {os.path.relpath(k, f): v for k, v in tree(f).items()}
        for f in (tmp_path / 'a', tmp_path / 'b')
    )
    names = {f'{split}/p{i}.png' for split, those in DIVIDED.items() for i in those}
    assert one.keys() == names | {'written.txt'} == other.keys()
    assert all(one[name] == other[name] for name in names)
