"""Analyses that compare predictions with what there truly is."""

from pathlib import Path

from ..analysis import NO_LABELS, Analysis, Options
from ..section import Section
from ..subject import Subject
from .sample import Sample


class Labelled(Analysis):
    """An analysis of the pictures that have annotations.

    Attributes:
        title: Of its section.
    """

    title = ''

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.labelled = 0

    def see(self, sample: Sample) -> None:
        if sample.truth is not None:
            self.labelled += 1
            self.compare(sample)

    def finish(self) -> Section:
        if not self.labelled:
            return Section(self.title, text=[NO_LABELS])
        return self.conclude()

    def compare(self, sample: Sample) -> None:
        """Take note of a prediction that has a truth."""
        raise NotImplementedError

    def conclude(self) -> Section:
        """Write the files and say what was found, of one picture at least."""
        raise NotImplementedError
