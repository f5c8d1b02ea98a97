"""Bad data: repaired with a note, or refused in one line that names file and id."""

import shutil
from collections import Counter

import pytest
from PIL import Image

from mmoverlock.datasets.formats import read_objects

from . import scenes

TRAIN, VAL = 'annotations/instances_train.json', 'annotations/instances_val.json'
YOLO_LABELS, VOC_FILE, LABELME_FILE = 'labels/train/01.txt', 'Annotations/01.xml', '01.json'
NAN = float('nan')


def in_coco(change, file=TRAIN):
    """Spoils a COCO file."""
    return lambda root: scenes.edit(root / file, change)


def of(key, number=1, **values):
    """Sets values of the n-th image, annotation or category of a COCO file; None deletes."""

    def change(content):
        for name, value in values.items():
            content[key][number][name] = value
            if value is None:
                del content[key][number][name]

    return in_coco(change)


def annotation(**values):
    return of('annotations', **values)


def written(file, content):
    return lambda root: scenes.text(root / file, content)


def replaced(file, old, new):
    def spoil(root):
        text = (root / file).read_text(encoding='utf-8')
        assert old in text
        (root / file).write_text(text.replace(old, new, 1), encoding='utf-8')

    return spoil


def copied(source, target):
    return lambda root: shutil.copy(root / source, root / target)


def moved(source, target):
    return lambda root: (root / source).rename(root / target)


def removed(file):
    return lambda root: (root / file).unlink()


def all_of(*spoils):
    return lambda root: [spoil(root) for spoil in spoils]


def exif(file, size, orientation=6):
    def spoil(root):
        tags = Image.Exif()
        tags[0x0112] = orientation
        scenes.image(root / file, size, exif=tags)

    return spoil


def renamed_tag(tag):
    return all_of(replaced(VOC_FILE, f'<{tag}>', '<x>'), replaced(VOC_FILE, f'</{tag}>', '</x>'))


def in_labelme(number=0, file=LABELME_FILE, **values):
    return lambda root: scenes.edit(
        root / file, lambda content: content['shapes'][number].update(values)
    )


def labelme_keys(**values):
    return lambda root: scenes.edit(root / LABELME_FILE, lambda content: content.update(values))


def every(key, name, function, file=TRAIN):
    def change(content):
        for one in content[key]:
            one[name] = function(one[name])

    return in_coco(change, file)


def both(spoil_of_file):
    return all_of(*(spoil_of_file(file) for file in (TRAIN, VAL)))


def string_ids(file):
    return all_of(
        every('images', 'id', lambda n: f'img-{n}', file),
        every('annotations', 'image_id', lambda n: f'img-{n}', file),
        every('annotations', 'category_id', str, file),
        every('categories', 'id', str, file),
    )


def category_ids(function):
    return both(
        lambda file: all_of(
            every('annotations', 'category_id', function, file),
            every('categories', 'id', function, file),
        )
    )


def roboflow_category(file):
    def change(content):
        for one in content['categories']:
            one['supercategory'] = 'animals'
        content['categories'].insert(0, dict(id=0, name='animals', supercategory='none'))

    return in_coco(change, file)


def roboflow_single(file):
    """The first category's name is also that of its supercategory."""

    def change(content):
        content['categories'][0]['supercategory'] = 'cat'
        content['categories'].insert(0, dict(id=0, name='cat', supercategory='none'))

    return in_coco(change, file)


def only_dogs(file):
    def change(content):
        content['annotations'] = [a for a in content['annotations'] if a['category_id'] == 2]

    return in_coco(change, file)


# What is read as if it were right: format, name: what is done to the data. No note.
SAME = {
    'coco': {
        'category ids from 0': category_ids(lambda n: n - 1),
        'category ids with gaps': category_ids(lambda n: 7 * n),
        'category ids as texts': category_ids(str),
        'ids as texts': both(string_ids),
        'image ids as whole floats': every('annotations', 'image_id', float),
        'no sizes': of('images', width=None, height=None),
        'no area': annotation(area=None),
        'area 0': annotation(area=0),
        'no iscrowd': annotation(iscrowd=None),
        'no box but a polygon': annotation(bbox=None),
        'a polygon not in a list': annotation(
            segmentation=[5, 5, 17, 5, 17, 15, 11, 25, 5, 15], bbox=None
        ),
        'file names with the split': every('images', 'file_name', lambda name: f'train/{name}'),
        'file names from Windows': every('images', 'file_name', lambda name: f'train\\{name}'),
        'byte order mark': lambda root: (root / TRAIN).write_bytes(
            b'\xef\xbb\xbf' + (root / TRAIN).read_bytes()
        ),
        'macOS folders': all_of(
            written('__MACOSX/annotations/instances_train.json', 'x'),
            written('annotations/._instances_train.json', 'x'),
            written('.DS_Store', 'x'),
        ),
        'other COCO files': written('annotations/captions_train.json', dict(images=[])),
        'a link to the images': all_of(
            moved('train', 'elsewhere'),
            lambda root: (root / 'train').symlink_to(root / 'elsewhere'),
        ),
    },
    'yolo': {
        'class numbers as floats': replaced(YOLO_LABELS, '1 ', '1.000e+00 '),
        'Windows line ends, blank lines': replaced(YOLO_LABELS, '\n', '\r\n\r\n'),
        'names by numbers': replaced('data.yaml', '[cat, dog]', '{"1": dog, "0": cat}'),
        'upper-case suffixes': all_of(
            *(moved(f'images/train/{i}.png', f'images/train/{i}.PNG') for i in ('00', '01'))
        ),
        'subfolders': lambda root: [
            ((root / f'{kind}/train/a').mkdir(), moved(one, f'{kind}/train/a/{two}')(root))
            for kind, one, two in (
                ('images', 'images/train/01.png', '01.png'),
                ('labels', YOLO_LABELS, '01.txt'),
            )
        ],
        'lists of images': all_of(
            written(
                'train.txt',
                ''.join(f'./images/train/{i:02}.png\n' for i in (0, 1, 2, 3, 5, 6, 7, 8)),
            ),
            replaced('data.yaml', 'images/train', 'train.txt'),
        ),
        'a list of CVAT': all_of(
            written('val.txt', 'data/images/val/04.png\ndata/images/val/09.png\n'),
            replaced('data.yaml', 'images/val', 'val.txt'),
        ),
        'folders of another machine': replaced('data.yaml', ': images', ': /content/cats/images'),
    },
    'voc': {
        'no size': renamed_tag('size'),
        'size 0': replaced(VOC_FILE, '<width>60', '<width>0'),
        'another file name': replaced(VOC_FILE, '01.png', 'IMG 7.jpg'),
        'blanks around names': replaced(VOC_FILE, '<name>cat', '<name> cat\n'),
        'floats': replaced(VOC_FILE, '<xmin>31<', '<xmin>31.0<'),
    },
    'labelme': {
        'no imagePath': labelme_keys(imagePath=None),
        'imagePath from Windows': labelme_keys(imagePath='..\\pictures\\01.png'),
        'no shape_type': in_labelme(shape_type=None),
        'a part of its own group': in_labelme(group_id=3),
        'results of a run': written(
            'work_dirs/run/vis_data/scalars.json', '{"lr": 1}\n{"lr": 2}\n'
        ),
    },
}

# What is changed or left out: format, name: what is done to the data, note.
REPAIRED = {
    'coco': {
        'box partly outside': (
            annotation(bbox=[30, 10, 90, 25], segmentation=None),
            "reach outside their image, clipped: 1 (first: '{root}/annotations/instances_train.json', annotation 2)",
        ),
        'box outside': (annotation(bbox=[70, 10, 5, 5]), 'objects outside their image, left out: 1'),
        'huge coordinates': (
            annotation(segmentation=[[-1e300, 10, 1e12, 10, 1e12, 1e300]], bbox=None),
            'reach outside their image, clipped: 1',
        ),
        'box without area': (annotation(bbox=[5, 5, 0, 3]), 'narrower than a pixel, left out: 1'),
        'box below a pixel': (annotation(bbox=[5, 5, 0.4, 3]), 'narrower than a pixel, left out: 1'),
        'polygon of two points': (
            annotation(segmentation=[[30, 10, 55, 35]]),
            'mask has no area, ignored in training and evaluation: 1',
        ),
        'polygon of two points, no box': (
            annotation(segmentation=[[30, 10, 55, 35]], bbox=None),
            'narrower than a pixel, left out: 1',
        ),
        'box and mask apart': (
            annotation(bbox=[1, 1, 5, 5]), 'box and mask are in different places: 1'),
        'run lengths without a pixel': (
            annotation(segmentation=dict(size=[40, 60], counts=[2400])),
            'mask has no area, ignored in training and evaluation: 1',
        ),
        'a box among masks': (annotation(segmentation=[]), 'without a mask among others with one'),
        'annotation ids twice': (annotation(id=1), 'with the id of another, numbered again: 1'),
        'class without object in val': (
            only_dogs(VAL),
            "classes without an object for val: 1 (first: 'cat')",
        ),
        'class without object in train': (
            only_dogs(TRAIN),
            "classes without an object for train: 1 (first: 'cat')",
        ),
        'a class of val that train does not know': (
            in_coco(lambda c: c['categories'].append(dict(id=3, name='emu')), VAL),
            "classes without an object for train: 1 (first: 'emu')",
        ),
        'supercategory of Roboflow': (
            both(roboflow_category),
            'categories that are only a supercategory, not used: 2',
        ),
        'supercategory of Roboflow with the name of a class': (
            both(roboflow_single),
            'categories that are only a supercategory, not used: 2',
        ),
        'absolute file names of another machine': (
            every('images', 'file_name', lambda name: f'C:\\home\\me\\{name}'),
            'absolute paths that do not exist, found by their last part: 8',
        ),
        'the same images in train and val': (
            all_of(every('images', 'file_name', lambda name: f'train/{name}'), copied(TRAIN, VAL)),
            'images for both training and validation: 8',
        ),
        'no file for val': (removed(VAL), 'images of train held out for validation, every 5th: 1'),
        'a test split without objects': (
            all_of(copied(VAL, 'annotations/instances_test.json'), in_coco(
                lambda c: c.update(annotations=[]), 'annotations/instances_test.json')),
            'splits without any object, not used: 1 (first: test)',
        ),
        'a file without split beside others': (
            copied(TRAIN, 'annotations/instances_everything.json'),
            'COCO files without a split in their names, not used: 1',
        ),
        'EXIF-turned photos, annotated as shown': (
            all_of(exif('train/01.png', (40, 60)), exif('train/02.png', (40, 60))),
            'an EXIF tag turns by 90 degrees, annotated as turned: 2',
        ),
    },
    'yolo': {
        'image without label': (removed(YOLO_LABELS), 'images without a label file, background: 1'),
        'label without image': (
            copied(YOLO_LABELS, 'labels/train/x.txt'),
            "label files without an image, not used: 1 (first: '{root}/labels/train/x.txt')",
        ),
        'no folder of test images': (
            replaced('data.yaml', 'names', 'test: ../test/images\nnames'),
            "test images without any, not used: 1 (first: '{root}/data.yaml', '../test/images')",
        ),
        'an empty folder of test images': (
            all_of(
                lambda root: (root / 'test/images').mkdir(parents=True),
                replaced('data.yaml', 'names', 'test: ../test/images\nnames'),
            ),
            'folders of test images without any, not used: 1',
        ),
        'scores': (
            replaced(YOLO_LABELS, '\n', ' 0.9\n'),
            "not used: 1 (first: '{root}/labels/train/01.txt', line 1)",
        ),
        'a box among polygons': (
            written(YOLO_LABELS, '1 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.5 0.1 0.5 0.5\n'),
            'without a mask among others with one, so boxes alone',
        ),
        'a share above 1': (
            written(YOLO_LABELS, '1 0.9 0.5 0.4 0.2\n'),
            'reach outside their image, clipped: 1',
        ),
        'keypoints': (
            all_of(
                written(YOLO_LABELS, '1 0.5 0.5 0.2 0.2 0.5 0.5 2\n'),
                replaced('data.yaml', 'names', 'kpt_shape: [1, 3]\nnames'),
            ),
            'keypoints, not used: 1',
        ),
    },
    'voc': {
        'difficult objects': (
            replaced(VOC_FILE, '<difficult>0', '<difficult>1'),
            "'difficult' objects, ignored in training and evaluation: 1",
        ),
        'exchanged corners': (
            all_of(replaced(VOC_FILE, 'xmin>31', 'xmin>55'), replaced(VOC_FILE, 'xmax>55', 'xmax>31')),
            'boxes with exchanged corners, put right: 1',
        ),
        'image without XML': (removed(VOC_FILE), 'images without annotations, not used: 1'),
    },
    'labelme': {
        'other shapes': (
            in_labelme(shape_type='circle', points=[[10, 10], [12, 10]]),
            "shapes of type 'circle', left out: 1 (first: '{root}/01.json', shape 1)",
        ),
        'rectangles among polygons': (
            in_labelme(shape_type='rectangle', points=[[10, 10], [20, 20]]),
            'without a mask among others with one, so boxes alone: 1',
        ),
        'other JSON files': (written('settings.json', {}), 'JSON files without shapes, not used: 1'),
        'image without JSON': (removed(LABELME_FILE), 'images without annotations, not used: 1'),
    },
}  # fmt: skip

# What is refused: format, name: what is done to the data, the message's parts.
REFUSED = {
    'coco': {
        'empty file': (written(TRAIN, ''), TRAIN, 'is empty'),
        'cut short': (
            lambda root: (root / TRAIN).write_text((root / TRAIN).read_text()[:-9]),
            TRAIN,
            'is not JSON, or cut short',
        ),
        'not text': (lambda root: (root / TRAIN).write_bytes(b'\xff\xfe\x00'), TRAIN, 'not a text file'),
        'predictions': (written(TRAIN, [dict(image_id=1, score=0.5)]), TRAIN, 'predictions'),
        'no images': (in_coco(lambda c: c.pop('images')), TRAIN, "no list 'images'"),
        'empty list of images': (in_coco(lambda c: c.update(images=[])), TRAIN, "'images'", 'is empty'),
        'no categories': (in_coco(lambda c: c.pop('categories')), TRAIN, "no list 'categories'"),
        'no annotations at all': (in_coco(lambda c: c.update(annotations=[])), 'no object for train'),
        'text among annotations': (in_coco(lambda c: c['annotations'].append('x')), TRAIN, "'x'"),
        'unknown category': (annotation(category_id=9), TRAIN, 'annotation 2', "id 9", "'1', '2'"),
        'no category': (annotation(category_id=None), TRAIN, 'annotation 2', 'category_id is None'),
        'unknown image': (annotation(image_id=99), TRAIN, 'annotation 2', 'no image has the id 99'),
        'category names twice': (of('categories', name='cat'), TRAIN, "the name 'cat'"),
        'category ids twice': (of('categories', id=1), TRAIN, 'two categories have the id 1'),
        'category without name': (of('categories', name=None), TRAIN, 'category 2 has no name'),
        'image ids twice': (of('images', id=10), TRAIN, 'two images have the id 10'),
        'file names twice': (of('images', file_name='00.png'), TRAIN, "images 10 and 11", "'00.png'"),
        'no file name': (of('images', file_name=None), TRAIN, 'image 11 has no file_name'),
        'box of three numbers': (annotation(bbox=[1, 2, 3]), TRAIN, 'annotation 2', '[1, 2, 3]', 'x, y, width, height'),
        'box of texts': (annotation(bbox=['a', 2, 3, 4]), TRAIN, 'annotation 2', "'a'"),
        'negative box': (annotation(bbox=[20, 20, -5, 3]), TRAIN, 'annotation 2', '-5', 'at least 0'),
        'box that is no number': (annotation(bbox=[NAN, 20, 5, 3]), TRAIN, 'annotation 2', 'nan'),
        'neither box nor mask': (annotation(bbox=None, segmentation=None), TRAIN, 'annotation 2', 'neither'),
        'polygon of odd length': (annotation(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), TRAIN, 'annotation 2', 'even number'),
        'polygon of texts': (annotation(segmentation=[['a', 'b'] * 3]), TRAIN, 'annotation 2', "'a'"),
        'polygon in a text': (annotation(segmentation='1 2 3'), TRAIN, 'annotation 2', "'1 2 3'"),
        'run lengths of another size': (
            annotation(segmentation=dict(size=[60, 40], counts=[0, 2400])),
            TRAIN, 'annotation 2', '[60, 40]', '[40, 60]',
        ),
        'run lengths too short': (
            annotation(segmentation=dict(size=[40, 60], counts=[0, 24])), TRAIN, 'annotation 2', '2400',
        ),
        'run lengths that are none': (
            annotation(segmentation=dict(size=[40, 60], counts='\u00e9!')), TRAIN, 'annotation 2', 'run lengths',
        ),
        'missing images': (
            all_of(removed('train/01.png'), removed('train/02.png')),
            '2 of 8 images', TRAIN, "image 11: '01.png'", '/train',
        ),
        'missing image whose name is in another split': (
            all_of(removed('train/00.png'), copied('train/01.png', 'val/00.png')), "image 10: '00.png'",
        ),
        'empty image': (lambda root: (root / 'train/01.png').write_bytes(b''), 'train/01.png', '0 bytes'),
        'no image': (written('train/01.png', 'x'), 'train/01.png', 'no image'),
        'image of floats': (
            all_of(lambda root: Image.new('F', (60, 40)).save(root / 'train/01.tif'),
                   of('images', file_name='01.tif')),
            'train/01.tif', '32 bits',
        ),
        'wrong size': (of('images', width=61), TRAIN, 'image 11', '61x40', '60x40', '01.png'),
        'swapped size': (of('images', width=40, height=60), TRAIN, 'image 11', '40x60', 'swapped'),
        'size in words': (of('images', width='wide'), TRAIN, 'image 11', "'wide'"),
        'EXIF-turned photos, some annotated as stored': (
            all_of(exif('train/01.png', (40, 60)), exif('train/02.png', (60, 40))),
            '01.png', '02.png', 'EXIF',
        ),
        'most objects outside': (
            every('annotations', 'bbox', lambda box: [10 * value for value in box]),
            TRAIN, '13 of 16 objects', 'annotation 1', 'another unit',
        ),
        'corners instead of sizes': (
            every('annotations', 'bbox', lambda box: [*box[:2], box[0] + box[2], box[1] + box[3]]),
            TRAIN, 'annotation 1', 'another unit or order',
        ),
        'id not a number': (of('images', id=NAN), TRAIN, 'id of an image is nan'),
        'id a truth value': (of('categories', id=True), TRAIN, 'id of a category is True'),
        'two files for a split': (copied(TRAIN, 'annotations/instances_training.json'), 'two COCO files', 'instances_training.json'),
        'no training': (removed(TRAIN), 'no image for training'),
    },
    'yolo': {
        'class beyond the names': (replaced(YOLO_LABELS, '1 ', '2 '), YOLO_LABELS, 'line 2', 'class 2', "'0', '1'"),
        'negative class': (replaced(YOLO_LABELS, '1 ', '-1 '), YOLO_LABELS, 'line 2', 'class -1'),
        'class in words': (replaced(YOLO_LABELS, '1 ', 'dog '), YOLO_LABELS, 'line 2', "'dog'"),
        'four numbers': (written(YOLO_LABELS, '1 0.5 0.5 0.2\n'), YOLO_LABELS, 'line 1', 'at least 5'),
        'text': (written(YOLO_LABELS, '1 0.5 x 0.2 0.2\n'), YOLO_LABELS, 'line 1', "'x'"),
        'not a number': (written(YOLO_LABELS, '1 0.5 nan 0.2 0.2\n'), YOLO_LABELS, 'line 1', 'nan'),
        'polygon with not a number': (
            written(YOLO_LABELS, '1 0.5 nan 0.2 0.2 0.3 0.3\n'), YOLO_LABELS, 'line 1', 'NaN'),
        'negative width': (written(YOLO_LABELS, '1 0.5 0.5 -0.2 0.2\n'), YOLO_LABELS, 'line 1', '-0.2'),
        'pixels': (written(YOLO_LABELS, '1 30 20 12 8\n'), YOLO_LABELS, 'line 1', '1 30 20 12 8', 'from 0 to 1'),
        'no labels': (lambda root: shutil.rmtree(root / 'labels'), '10 images', 'labels/train/00.txt'),
        'missing folder': (replaced('data.yaml', 'images/val', 'images/xyz'), 'data.yaml', 'val', "'images/xyz' does not exist"),
        # Not 'images', which holds the training's, too.
        'last part of a folder alone': (
            replaced('data.yaml', 'images/val', '/x/val/images'), 'val', "'/x/val/images' does not exist"),
        'empty folder': (lambda root: [p.unlink() for p in (root / 'images/val').iterdir()], 'data.yaml', 'images/val', 'no images'),
        'list with a missing image': (
            all_of(written('val.txt', './images/val/x.png\n'), replaced('data.yaml', 'images/val', 'val.txt')),
            'images/val/x.png', 'does not exist',
        ),
        'broken YAML': (written('data.yaml', 'names: [cat\ntrain: x'), 'data.yaml', 'is not YAML'),
        'no names': (replaced('data.yaml', '[cat, dog]', ''), 'data.yaml', 'not a list of names'),
        'names with words as keys': (replaced('data.yaml', '[cat, dog]', '{cat: 0}'), 'data.yaml', "'cat'"),
        'names twice': (replaced('data.yaml', 'dog', 'cat'), 'data.yaml', "'cat'"),
        'another number of names': (replaced('data.yaml', 'names', 'nc: 3\nnames'), 'data.yaml', 'nc is 3', '2 names'),
        'no file of names': (removed('data.yaml'), 'classes.txt', 'no names'),
        'same stem': (copied('images/train/01.png', 'images/train/01.jpg'), '01.jpg', '01.png', 'same label file'),
        'two YAML files': (
            all_of(copied('data.yaml', 'a.yaml'), moved('data.yaml', 'b.yaml')), 'a.yaml', 'b.yaml'),
    },
    'voc': {
        'cut short': (lambda root: (root / VOC_FILE).write_text((root / VOC_FILE).read_text()[:-9]), VOC_FILE, 'not XML, or cut short'),
        'other XML': (written(VOC_FILE, '<project/>'), VOC_FILE, '<project>'),
        'no image': (removed('JPEGImages/01.png'), VOC_FILE, 'does not exist', "'01.png'"),
        'two images': (all_of(
            copied('JPEGImages/01.png', 'JPEGImages/01.jpg'), replaced(VOC_FILE, '01.png', '')), VOC_FILE, '01.jpg'),
        'wrong size': (replaced(VOC_FILE, '<width>60', '<width>61'), VOC_FILE, '61x40', '60x40'),
        'size in words': (replaced(VOC_FILE, '<width>60', '<width>wide'), VOC_FILE, 'wide'),
        'no box': (renamed_tag('bndbox'), VOC_FILE, 'object 1', 'bndbox'),
        'no name': (replaced(VOC_FILE, '<name>cat', '<name>'), VOC_FILE, 'object 1', 'name'),
        'text in a box': (replaced(VOC_FILE, '<xmin>31', '<xmin>left'), VOC_FILE, 'object 2', 'left'),
    },
    'labelme': {
        'cut short': (written(LABELME_FILE, '{"shapes": ['), LABELME_FILE, 'cut short'),
        'no label': (in_labelme(label=''), LABELME_FILE, 'shape 1', 'no label'),
        'no points': (in_labelme(points=[]), LABELME_FILE, 'shape 1'),
        'points of three numbers': (in_labelme(points=[[1, 2, 3]] * 3), LABELME_FILE, 'shape 1'),
        'polygon of two points': (in_labelme(points=[[1, 2], [9, 9]]), LABELME_FILE, 'shape 1', 'at least 3'),
        'text in points': (in_labelme(points=[['x', 2]] * 3), LABELME_FILE, 'shape 1', "'x'"),
        'shapes no list': (labelme_keys(shapes='x'), LABELME_FILE, 'not a list'),
        'wrong size': (labelme_keys(imageWidth=61), LABELME_FILE, '61x40', '60x40'),
        'swapped size': (labelme_keys(imageWidth=40, imageHeight=60), LABELME_FILE, 'swapped'),
        'no image': (removed('01.png'), LABELME_FILE, "'01.png'", 'does not exist'),
        'image only embedded': (
            all_of(removed('01.png'), labelme_keys(imageData='aGVsbG8=')), LABELME_FILE, 'imageData'),
        'an image in two files': (copied(LABELME_FILE, 'x.json'), '01.json', 'x.json', '01.png'),
    },
}  # fmt: skip


def table(cases):
    """Rows of format, what is done, and the texts expected."""
    return [
        pytest.param(name, *((case[0], case[1:]) if isinstance(case, tuple) else (case,)), id=f'{name}-{what}')
        for name, rows in cases.items()
        for what, case in rows.items()
    ]  # fmt: skip


def summary(data):
    """Classes, and of each object split, image, class and rounded box."""
    rows = []
    for split, content in data.splits.items():
        names = {one['id']: one['file_name'][-6:-4] for one in content['images']}
        for one in content['annotations']:
            box = tuple(round(value, 2) for value in one['bbox'])
            name = data.classes[one['category_id'] - 1]
            rows.append((split, names[one['image_id']], name, box, one['iscrowd']))
    return data.classes, Counter(rows)


@pytest.mark.parametrize('name, spoil', table(SAME))
def test_read_all_the_same(tmp_path, name, spoil):
    root = getattr(scenes, name)(tmp_path)
    before = read_objects(root)
    spoil(root)
    after = read_objects(root, name)
    assert summary(after) == summary(before)
    assert (after.with_masks, after.notes) == (before.with_masks, [])


@pytest.mark.parametrize('name, spoil, notes', table(REPAIRED))
def test_repaired_with_a_note(tmp_path, name, spoil, notes):
    root = getattr(scenes, name)(tmp_path)
    spoil(root)
    data = read_objects(root)
    (note,) = notes
    assert [one for one in data.notes if note.format(root=root) in one], data.notes
    assert len(data.notes) <= 2 and all('\n' not in one for one in data.notes)
    for content in data.splits.values():
        images = {one['id']: one for one in content['images']}
        for one in content['annotations']:
            x, y, width, height = one['bbox']
            image = images[one['image_id']]
            assert 0 <= x <= x + width <= image['width'] and 0 <= y <= y + height <= image['height']
            assert width >= 1 and height >= 1 and one['area'] > 0


@pytest.mark.parametrize('name, spoil, parts', table(REFUSED))
def test_refused_in_one_line(tmp_path, name, spoil, parts):
    root = getattr(scenes, name)(tmp_path)
    spoil(root)
    with pytest.raises(ValueError) as error:
        read_objects(root)
    message = str(error.value)
    assert all(part in message for part in parts), message
    assert '\n' not in message and str(root) in message
