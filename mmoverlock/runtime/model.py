"""An exported model, ready for pictures."""

import os

from .calibrators import read_calibrator
from .pictures import PictureModel
from .results import check_options
from .session import Session
from .tasks import TASKS


class ExportedModel(PictureModel):
    """An ONNX file that ``mmoverlock export`` wrote, run by ONNX Runtime: no PyTorch, no MMEngine.

    Its results and drawings are those of :class:`mmoverlock.apis.Inferencer` with the checkpoint.

    Args:
        path: The file.
        topk: How many classes a classifier names.
        score_thr: Least score, from 0 to 1, of the objects that a detector reports.
        calibration: For classifiers: a calibrator's file, as ``mmoverlock analyze`` writes it.
        threads: Of ONNX Runtime; by default as many as there are cores.

    Raises:
        ValueError: an argument is wrong, ONNX Runtime is not installed, or the file cannot be used.

    Attributes:
        classes: Names of the classes, by label.
        spec: What the file says about itself.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        topk: int = 5,
        score_thr: float = 0.3,
        calibration: str | os.PathLike | None = None,
        threads: int | None = None,
    ):
        check_options(topk, score_thr)
        session = Session(path, threads)
        self.spec = session.spec
        task = TASKS[self.spec.task](session, topk, score_thr)
        if calibration is not None:
            if self.spec.task != 'classification':
                raise ValueError(f'calibration={str(calibration)!r} is for classifiers')
            task.calibrator = read_calibrator(calibration, task.classes)
        super().__init__(task)
