"""UTF-8 whatever the locale says, and terminals that lack a character."""

import codecs
import locale
import os
import subprocess
import sys


def use_utf8() -> None:
    """Start the program again in Python's UTF-8 mode if the locale has another encoding.

    Names of files and classes are UTF-8 in annotation files and on nearly all disks. In the locale
    ISO-8859-1, or in C with Python's own remedy switched off, they would be wrong or fail.
    """
    encodings = locale.getpreferredencoding(False), sys.getfilesystemencoding()
    if sys.flags.utf8_mode or all(codecs.lookup(name).name == 'utf-8' for name in encodings):
        return
    os.environ['PYTHONUTF8'] = '1'  # of the processes that this one starts
    again = [sys.executable, '-X', 'utf8', *sys.orig_argv[1:]]
    if os.name == 'nt':  # where execv leaves the terminal to the shell
        sys.exit(subprocess.call(again))
    sys.stdout.flush()
    os.execv(sys.executable, again)


def escape_output() -> None:
    """Print what the terminal's encoding lacks as escapes, which must not end a run."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')
