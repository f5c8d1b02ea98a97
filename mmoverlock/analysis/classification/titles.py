"""A line about a classifier's picture."""

from ..subject import Subject


def title_of(subject: Subject, index: int, predicted: int) -> str:
    """The picture's name, its true class if that is known, and the predicted one."""
    label = subject.dataset.get_data_info(index).get('gt_label')
    true = '' if label is None else f'true {subject.classes[int(label)]}, '
    return f'{subject.name(index)}: {true}predicted {subject.classes[predicted]}'
