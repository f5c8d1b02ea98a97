"""Say what of this installation is slow or broken: ``mmoverlock doctor``.

It must start where PyTorch, MMEngine or another package is missing or broken. So it imports none of
them, nor what other commands share, which does.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from mmoverlock.checks.installation.examination import examine
from mmoverlock.checks.installation.findings import exit_code, report

from .encoding import escape_output, use_utf8


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f'error: {message} (see {self.prog} --help)\n')
        sys.exit(2)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> NoReturn:
    """Print the report; exit with 1 if training a detector would not work, else with 0."""
    if argv is None:
        use_utf8()
    escape_output()
    parser = _Parser(
        prog=prog,
        description='Say what of this installation is slow or broken, and how to mend it.',
    )
    parser.parse_args(argv)
    try:
        sections = list(examine())
    except KeyboardInterrupt:
        sys.exit(130)
    print(report(sections))
    sys.exit(exit_code(one for _, findings in sections for one in findings))
