"""Stands in for ``mmcv._ext`` when mmcv was installed without its compiled operators.

Without that extension ``mmcv.ops`` cannot even be imported, nor can mmdet's models.

``mmoverlock_import_hook`` loads this folder under the name ``mmcv._ext``, maybe before mmoverlock
itself. So the modules here import each other relatively, and nothing else of mmoverlock. Other code
imports them from ``mmcv._ext``: under this folder's own name they would be loaded a second time.
"""
