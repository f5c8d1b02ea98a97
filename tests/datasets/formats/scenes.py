"""Ten small images with the same objects in every format. A test changes a file to spoil them."""

import json
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image

WIDTH, HEIGHT = 60, 40
CLASSES = ('cat', 'dog')
NAMES = [f'{index:02d}.png' for index in range(10)]
VAL = NAMES[4::5]  # as held out of an undivided folder


def objects(index):
    """Class and polygon (x, y in turn) of an image's objects."""
    x = 3 + 2 * index
    cat = ('cat', [x, 5, x + 12, 5, x + 12, 15, x + 6, 25, x, 15])
    dog = ('dog', [30, 10, 55, 10, 55, 35, 40, 30, 30, 35])
    return [cat, dog] if index % 3 else [dog]


def box(polygon):
    """x, y, width, height."""
    x, y = polygon[::2], polygon[1::2]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def split(name):
    return 'val' if name in VAL else 'train'


def image(path, size=(WIDTH, HEIGHT), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, (90, 120, 200)).save(path, **options)
    return path


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')
    return path


def edit(path, change):
    """`change` the content of a JSON file."""
    content = json.loads(path.read_text(encoding='utf-8'))
    change(content)
    path.write_text(json.dumps(content), encoding='utf-8')


def coco_content(names, prefix='', masks=True):
    content = dict(images=[], annotations=[])
    content['categories'] = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    for index, name in enumerate(NAMES):
        if name not in names:
            continue
        content['images'].append(
            dict(id=index + 10, file_name=prefix + name, width=WIDTH, height=HEIGHT)
        )
        for label, polygon in objects(index):
            x, y, width, height = box(polygon)
            one = dict(
                id=len(content['annotations']) + 1,
                image_id=index + 10,
                category_id=CLASSES.index(label) + 1,
                bbox=[x, y, width, height],
                area=width * height,
                iscrowd=0,
            )
            content['annotations'].append(one | (dict(segmentation=[polygon]) if masks else {}))
    return content


def coco(root, annotations='annotations/instances_{split}.json', images='{split}', masks=True):
    """`images` are relative to `root`, and `annotations` too."""
    for name in NAMES:
        image(root / images.format(split=split(name)) / name)
    for one in ('train', 'val') if '{split}' in annotations else (None,):
        names = [name for name in NAMES if one in (None, split(name))]
        text(root / annotations.format(split=one), coco_content(names, masks=masks))
    return root


YOLO = 'train: images/train\nval: images/val\nnames: [cat, dog]\n'


def yolo_lines(index, polygons=False):
    lines = []
    for label, polygon in objects(index):
        x, y, width, height = box(polygon)
        values = [x + width / 2, y + height / 2, width, height]
        values = polygon if polygons else values
        shares = [value / (HEIGHT if i % 2 else WIDTH) for i, value in enumerate(values)]
        lines.append(f'{CLASSES.index(label)} ' + ' '.join(f'{share:.6f}' for share in shares))
    return '\n'.join(lines) + '\n'


def yolo(
    root, images='images/{split}', labels='labels/{split}', data_yaml=YOLO, polygons=False
):  # fmt: skip
    for index, name in enumerate(NAMES):
        image(root / images.format(split=split(name)) / name)
        path = root / labels.format(split=split(name)) / name
        text(path.with_suffix('.txt'), yolo_lines(index, polygons))
    text(root / 'data.yaml', data_yaml) if data_yaml else text(root / 'classes.txt', 'cat\ndog\n')
    return root


def voc_xml(index, polygons=False):
    size = f'<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>'
    content = f'<filename>{escape(NAMES[index])}</filename>{size}'
    for label, polygon in objects(index):
        x, y, width, height = box(polygon)
        corners = dict(
            xmin=x + 1, ymin=y + 1, xmax=x + width, ymax=y + height
        )  # VOC's count from 1
        points = {f'{"yx"[i % 2]}{(i + 1) // 2}': v + 1 for i, v in enumerate(polygon, 1)}
        content += f'<object><name>{label}</name><difficult>0</difficult>{tags("bndbox", corners)}'
        content += (tags('polygon', points) if polygons else '') + '</object>'
    return f'<annotation>{content}</annotation>'


def tags(name, values):
    inner = ''.join(f'<{key}>{value}</{key}>' for key, value in values.items())
    return f'<{name}>{inner}</{name}>'


def voc(root, images='JPEGImages', annotations='Annotations', lists='ImageSets', polygons=False):
    for index, name in enumerate(NAMES):
        image(root / images.format(split=split(name)) / name)
        path = root / annotations.format(split=split(name)) / name
        text(path.with_suffix('.xml'), voc_xml(index, polygons))
    for one in ('train', 'val') if lists else ():
        stems = [Path(name).stem for name in NAMES if split(name) == one]
        text(root / lists / 'Main' / f'{one}.txt', '\n'.join(stems) + '\n')
    return root


def labelme_content(index, polygons=True, folder=''):
    shapes = []
    for label, polygon in objects(index):
        x, y, width, height = box(polygon)
        points = [polygon[i : i + 2] for i in range(0, len(polygon), 2)]
        shape = dict(label=label, group_id=None, shape_type='polygon', points=points, flags={})
        if not polygons:
            shape |= dict(shape_type='rectangle', points=[[x + width, y], [x, y + height]])
        shapes.append(shape)
    return dict(
        version='5.5.0',
        flags={},
        shapes=shapes,
        imagePath=folder + NAMES[index],
        imageData=None,
        imageWidth=WIDTH,
        imageHeight=HEIGHT,
    )


def labelme(root, images='', annotations='', polygons=True, folder=''):
    """`folder` is the start of imagePath."""
    for index, name in enumerate(NAMES):
        image(root / images.format(split=split(name)) / name)
        path = root / annotations.format(split=split(name)) / name
        content = labelme_content(index, polygons, folder.format(split=split(name)))
        text(path.with_suffix('.json'), content)
    return root
