"""What is analysed: the pictures of the test set, the names of the classes."""

import pytest
from mmengine.config import Config
from mmpretrain.models import MultiLabelLinearClsHead

from mmoverlock.analysis.subject import Subject, _check_head


@pytest.mark.parametrize(
    ('task', 'classes'),
    [('cls', ['dark', 'light']), ('det', [*'0123456789']), ('seg', [*'_0123456789'])],
)
def test_classes_are_named_by_folders_files_and_configs(at_home, task, classes):
    subject = Subject(Config.fromfile(f'{task}.py'), f'{task}.pth', 'cpu', 1)
    assert subject.classes == classes
    assert len(subject.colours) == len(classes)
    assert len(subject.indices) == 1 and len(subject.dataset) == 2


def test_a_classifier_of_several_classes_is_refused(at_home):
    model = Subject(Config.fromfile('cls.py'), 'cls.pth', 'cpu', 1).model
    _check_head(model)
    model.head = MultiLabelLinearClsHead(2, 32)
    with pytest.raises(ValueError, match='MultiLabelLinearClsHead gives several classes'):
        _check_head(model)
    model.head = None
    with pytest.raises(ValueError, match='ImageClassifier has no head'):
        _check_head(model)
