"""Types of errors and what they cost, by tidecv (Bolya et al., TIDE, ECCV 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..extras import extra
from .matching import MIN_IOU
from .objects import Kind
from .sample import Sample

BACKGROUND_IOU = 0.1  # with less a detection is one of nothing
# In tidecv's words, and in ours.
TYPES = {
    'Cls': 'classification',
    'Loc': 'localisation',
    'Both': 'both',
    'Dupe': 'duplicate',
    'Bkg': 'background',
    'Miss': 'missed',
}


@dataclass(frozen=True)
class Case:
    """One error.

    Attributes:
        type: One of the values of :data:`TYPES`.
        sample: The number of the sample.
        object: The number of its detection; of a missed error, that of its true object.
    """

    type: str
    sample: int
    object: int


@dataclass(frozen=True)
class Errors:
    """The errors of a detector.

    Attributes:
        ap: tidecv's AP at the IoU 0.5, 0 to 1. Classes that have detections, but no objects, count
            as 0; COCO's evaluation leaves them out.
        gains: By how much this AP would be higher without the errors of a type, by type.
        false_gain: Likewise without any false detections, recall unchanged.
        missed_gain: Likewise without any missed objects, precision unchanged.
        cases: All errors.
    """

    ap: float
    gains: dict[str, float]
    false_gain: float
    missed_gain: float
    cases: list[Case]

    def counts(self) -> dict[str, int]:
        """How many errors there are, by type."""
        types = [case.type for case in self.cases]
        return {name: types.count(name) for name in TYPES.values()}


def find_errors(samples: Sequence[Sample], kind: Kind) -> Errors | None:
    """Sort the errors by type; None without any detections or true objects: there is no AP.

    Args:
        samples: With truth.
        kind: Whether boxes ('bbox') or masks ('segm') are compared.

    Raises:
        ValueError: tidecv is not installed.
    """
    extra('tidecv')
    from tidecv.data import Data
    from tidecv.quantify import TIDE, TIDERun  # TIDE() itself would change matplotlib's settings

    name = dict(bbox='box', segm='mask')[kind]
    # tidecv would use the best detections of a picture alone.
    most = max(1, *(len(one.found) for one in samples)) if samples else 1
    truth, found = Data('truth', most), Data('found', most)
    true_objects: list[tuple[int, int]] = []
    detections: list[tuple[int, int]] = []
    for number, one in enumerate(samples):
        columns = one.truth.labels.tolist(), _listed(one.truth.regions(kind))
        crowds = one.truth.crowds_of(kind)
        for i, (label, region) in enumerate(zip(*columns, strict=True)):
            add = truth.add_ignore_region if crowds[i] else truth.add_ground_truth
            add(number, label, **{name: region})
            true_objects.append((number, i))
        scores = one.found.scores_of(kind).tolist()
        columns = one.found.labels.tolist(), scores, _listed(one.found.regions(kind))
        for i, (label, score, region) in enumerate(zip(*columns, strict=True)):
            found.add_detection(number, label, score, **{name: region})
            detections.append((number, i))
        truth.add_image(number, str(number))
    mode = TIDE.MASK if kind == 'segm' else TIDE.BOX
    try:
        run = TIDERun(truth, found, MIN_IOU, BACKGROUND_IOU, mode, most)
        main, special = run.fix_main_errors(), run.fix_special_errors()
    except ZeroDivisionError:  # a mean over no class
        return None
    gains = {TYPES[error.short_name]: gain / 100 for error, gain in main.items()}
    whole = {error.short_name: gain / 100 for error, gain in special.items()}
    cases = []
    for error in run.errors:
        missed = error.short_name == 'Miss'
        place = true_objects[error.gt['_id']] if missed else detections[error.pred['_id']]
        cases.append(Case(TYPES[error.short_name], *place))
    return Errors(run.ap / 100, gains, whole['FalsePos'], whole['FalseNeg'], cases)


def _listed(regions: np.ndarray | Sequence) -> Sequence:
    return regions.tolist() if isinstance(regions, np.ndarray) else regions
