"""What an analysis is: it sees every prediction, and then makes its section of the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .section import Section
from .subject import Subject

NO_LABELS = 'The test set has no labels: there is nothing to compare the predictions with.'


class Unsuitable(ValueError):
    """The model has not what the analysis needs, whatever the options: 'all' goes without it."""


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Attributes:
        layers: For class activation maps: dotted names of modules, or names of the task's own.
        compare: Another checkpoint of the config, for the receptive field.
    """

    layers: tuple[str, ...] = ()
    compare: str | None = None


class Analysis:
    """One analysis for one task; :mod:`.catalog` lists them.

    Args:
        subject: The model and its test set.
        folder: Where :meth:`finish` writes files; there by then.
        options: What the user chose.

    Raises:
        ValueError: an option is wrong, or the model is none that can be analysed so; before
            anything is computed.

    Attributes:
        sees: Whether it needs the predictions.
    """

    sees = True

    def __init__(self, subject: Subject, folder: Path, options: Options):
        self.subject, self.folder, self.options = subject, folder, options

    def see(self, sample: Any) -> None:
        """Take note of a prediction: the task's ``Sample``, in the order of the test set.

        Raises:
            ValueError: the data cannot be analysed so; the other analyses go on.
        """

    def finish(self) -> Section:
        """Write the files, and say what was found.

        Raises:
            ValueError: as :meth:`see`.
        """
        raise NotImplementedError
