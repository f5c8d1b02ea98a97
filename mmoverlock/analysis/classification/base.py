"""What analyses of all predictions of a classifier have in common."""

from pathlib import Path

from ..analysis import NO_LABELS, Analysis, Options
from ..extras import extra
from ..section import Section
from ..subject import Subject
from .results import Results


class ClassifierAnalysis(Analysis):
    """An analysis that looks at all predictions at once.

    Attributes:
        results: The predictions.
        title: Of the section.
        needs: Modules of the extra ``analysis``.
        needs_labels: Whether there is nothing to say about a test set without labels.
    """

    title = ''
    needs: tuple[str, ...] = ()
    needs_labels = True
    results: Results

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        for module in self.needs:
            extra(module)

    def see(self, sample: Results) -> None:
        self.results = sample

    def finish(self) -> Section:
        if self.needs_labels and not self.results.labelled:
            return Section(self.title, text=[NO_LABELS])
        return self.analyze()

    def analyze(self) -> Section:
        """What :meth:`finish` does, if all that it needs is there."""
        raise NotImplementedError
