"""mmdet's COCO class is changed once, whether mmdet or mmoverlock is imported first."""

import importlib
import subprocess
import sys

import mmdet.datasets.api_wrappers.coco_api as mmdet_coco

from mmoverlock.compat import coco_api, on_import


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
    waiting = [one.module for one in sys.meta_path if isinstance(one, on_import._Finder)]
    assert coco_api.MODULE not in waiting
    monkeypatch.setattr(sys.modules['mmdet.datasets.api_wrappers'], 'coco_api', mmdet_coco)


def test_pycocotools_own_evaluation_stays_as_it_is():
    from mmdet.evaluation.metrics import coco_metric
    from pycocotools.cocoeval import COCOeval

    assert COCOeval.evaluate.__module__ == 'pycocotools.cocoeval'
    assert coco_metric.COCOeval is mmdet_coco.COCOeval is not COCOeval
    assert coco_metric.COCOeval.evaluate.__module__ == coco_api.__name__


def test_an_evaluation_that_was_imported_before_is_replaced(tmp_path):
    """mmdet first, mmoverlock second."""
    program = """
import mmengine, mmdet.evaluation.metrics.coco_metric as early
import pycocotools.cocoeval as original
assert early.COCOeval is original.COCOeval
from mmoverlock.compat import coco_api, on_import
coco_api.install()
assert early.COCOeval is not original.COCOeval
for kind in (early.COCOeval, early.COCOevalMP):
    assert kind.accumulate.__module__ == coco_api.__name__
"""
    subprocess.run([sys.executable, '-c', program], check=True, cwd=tmp_path)
