"""What analyses of all predictions of a classifier have in common."""

from pathlib import Path

from ..analysis import NO_LABELS, Analysis, Options
from ..extras import extra
from ..section import Section
from ..subject import Subject
from .results import results_of
from .sample import Sample


class ClassifierAnalysis(Analysis):
    """An analysis that looks at all predictions at once, as ``results``.

    Attributes:
        title: Of the section.
        needs: Modules of the extra ``analysis``.
        needs_labels: Whether there is nothing to say about a test set without labels.
    """

    title = ''
    needs: tuple[str, ...] = ()
    needs_labels = True

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        for module in self.needs:
            extra(module)
        self.results = results_of(subject)

    def see(self, sample: Sample) -> None:
        self.results.add(sample)

    def finish(self) -> Section:
        if self.needs_labels and not self.results.labelled:
            return Section(self.title, text=[NO_LABELS])
        return self.analyze()

    def analyze(self) -> Section:
        """What :meth:`finish` does, if all that it needs is there."""
        raise NotImplementedError
