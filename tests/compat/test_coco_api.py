"""mmdet's COCO class is changed once, whether mmdet or mmoverlock is imported first."""

import importlib
import sys

import mmdet.datasets.api_wrappers.coco_api as mmdet_coco

from mmoverlock.compat import coco_api


def test_it_is_changed_once():
    before = vars(mmdet_coco.COCO).copy()
    assert before['getCatIds'].__module__ == coco_api.__name__
    coco_api.install()
    assert vars(mmdet_coco.COCO) == before


def test_it_is_changed_when_it_is_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, coco_api.MODULE)
    monkeypatch.setattr(sys, 'meta_path', [*sys.meta_path])
    coco_api.install()
    coco_api.install()
    fresh = importlib.import_module(coco_api.MODULE)
    assert fresh is not mmdet_coco
    assert fresh.COCO.getCatIds.__module__ == coco_api.__name__
    assert not any(isinstance(one, coco_api._Finder) for one in sys.meta_path)
    monkeypatch.setattr(sys.modules['mmdet.datasets.api_wrappers'], 'coco_api', mmdet_coco)
