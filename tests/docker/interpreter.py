"""Carries out a Dockerfile's steps by chroot: for machines without a Docker daemon. Needs root.

What it does not know raises ValueError. Layers, caches and the base image's own settings do not exist.
"""

import os
import re
import shlex
import shutil
import string
import subprocess
import warnings
from pathlib import Path

# How this machine reaches the network goes into the root, as Docker and its users see to it.
FILES = ('/etc/resolv.conf', '/etc/hosts', '/etc/pip.conf', '/etc/ssl/certs/ca-certificates.crt')
VARIABLES = re.compile(r'PIP_\w+|(https?|no)_proxy|SSL_CERT_(FILE|DIR)', re.IGNORECASE)
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


def parse(text: str) -> list[tuple[str, str]]:
    """The instructions and their arguments, in order."""
    text = re.sub(r'^\s*#.*\n', '', text, flags=re.MULTILINE).replace('\\\n', ' ')
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def is_ignored(path: str, patterns: list[str]) -> bool:
    """Whether lines of .dockerignore leave ``path`` out: the last that fits it or a parent decides."""
    parts = {'**/': '(.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]'}
    ignored = False
    for pattern in filter(None, patterns):
        pieces = re.split(r'(\*\*/|\*\*|\*|\?)', pattern.lstrip('!').strip('/'))
        expression = ''.join(parts.get(piece, re.escape(piece)) for piece in pieces)
        if re.fullmatch(f'({expression})(/.*)?', path):
            ignored = not pattern.startswith('!')
    return ignored


class Image:
    """A folder with a Debian system, and what a Dockerfile makes of it.

    Args:
        root: the system's folder; it is changed.
        context: the folder that COPY copies from.
        arguments: values for ARG.
    """

    def __init__(self, root: Path, context: Path, arguments: dict[str, str]):
        self.root, self.context, self.given = root, context, arguments
        self.base = ''
        self.arguments: dict[str, str] = {}
        self.environment = {'PATH': PATH}
        self.user, self.workdir = 'root', '/'
        self.entrypoint: list[str] = []
        self.command: list[str] = []
        for file in filter(os.path.exists, FILES):
            (root / file[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, root / file[1:])

    def build(self, text: str) -> None:
        """Carry out all steps. A RUN that fails raises CalledProcessError."""
        for name, value in parse(text):
            print(name, value, flush=True)
            match name:
                case 'ARG':
                    key, _, default = self._words(value)[0].partition('=')
                    self.arguments[key] = self.given.get(key, default)
                case 'FROM':
                    self.base, self.arguments = self._words(value)[0], {}
                case 'ENV':
                    self.environment |= dict(word.split('=', 1) for word in self._words(value))
                case 'USER':
                    self.user = self._words(value)[0]
                case 'WORKDIR':
                    self.workdir = os.path.join(self.workdir, self._words(value)[0])
                    self._host_path('.').mkdir(parents=True, exist_ok=True)
                case 'COPY':
                    self._copy(self._words(value))
                case 'RUN':
                    flags, command = re.fullmatch(r'((?:--\S+\s+)*)(.*)', value).groups()
                    if flags:
                        warnings.warn(f'RUN without {flags.strip()}', stacklevel=2)
                    self._enter(
                        ['/bin/sh', '-c', command], variables=self.arguments
                    ).check_returncode()
                case 'ENTRYPOINT' | 'CMD':
                    words = [word.strip(',') for word in shlex.split(value.strip('[]'))]
                    setattr(self, {'CMD': 'command'}.get(name, 'entrypoint'), words)
                case _:
                    raise ValueError(f'instruction: got {name!r}, which is unknown here')

    def run(self, *command: str, **options) -> subprocess.CompletedProcess:
        """``docker run``; ``options``: ``user``, ``volumes`` (host's folder to path) and ``shm``."""
        return self._enter([*self.entrypoint, *(command or self.command)], **options)

    def _words(self, value: str) -> list[str]:
        values = self.arguments | self.environment
        return [string.Template(word).safe_substitute(values) for word in shlex.split(value)]

    def _host_path(self, path: str) -> Path:
        return self.root / os.path.normpath(os.path.join(self.workdir, path)).lstrip('/')

    def _identity(self, user: str) -> tuple[str, str]:
        """``uid:gid`` and home, as Docker finds them."""
        for line in (self.root / 'etc/passwd').read_text().splitlines():
            name, _, uid, gid, _, home, _ = line.split(':')
            if user in (name, uid):
                return f'{uid}:{gid}', home
        return (user if ':' in user else f'{user}:0'), '/'

    def _enter(self, command, user='', volumes=None, shm='64m', variables=None):
        identity, home = self._identity(user or self.user)
        passed = {key: value for key, value in os.environ.items() if VARIABLES.fullmatch(key)}
        root = shlex.quote(str(self.root))
        script = [f'mount --rbind /proc {root}/proc', f'mount --rbind /dev {root}/dev']
        script += [f'mount -t tmpfs -o size={shm} shm {root}/dev/shm']
        for source, target in (volumes or {}).items():
            self._host_path(target).mkdir(parents=True, exist_ok=True)
            script += [shlex.join(['mount', '--bind', str(source), str(self._host_path(target))])]
        script += [shlex.join(
            ['exec', 'chroot', f'--userspec={identity}', str(self.root), 'env', '-C', self.workdir, *command]
        )]  # fmt: skip
        return subprocess.run(
            ['unshare', '--mount', 'sh', '-ec', '\n'.join(script)],
            env=passed | (variables or {}) | {'HOME': home} | self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def _copy(self, words: list[str]) -> None:
        flags = dict(word[2:].split('=', 1) for word in words if word.startswith('--'))
        *sources, target = [word for word in words if not word.startswith('--')]
        ignore = self.context / '.dockerignore'
        lines = ignore.read_text().splitlines() if ignore.exists() else []
        patterns = [line.strip() for line in lines if not line.startswith('#')]
        owner = tuple(map(int, self._identity(flags.pop('chown', 'root'))[0].split(':')))
        if flags:
            raise ValueError(f'COPY: got flags {flags}, which are unknown here')
        for source in sources:
            start = self.context / source
            files = (
                [path for path in start.rglob('*') if path.is_file()] if start.is_dir() else [start]
            )
            kept = [f for f in files if not is_ignored(str(f.relative_to(self.context)), patterns)]
            if not kept:
                raise ValueError(f'COPY: got {source!r}, of which .dockerignore leaves nothing')
            for file in kept:
                into = target.endswith('/') or target == '.' or start.is_dir()
                name = file.relative_to(start if start.is_dir() else start.parent)
                self._place(
                    file, self._host_path(target) / name if into else self._host_path(target), owner
                )

    def _place(self, file: Path, target: Path, owner: tuple[int, int]) -> None:
        new = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        for path in [*new, target]:
            os.chown(path, *owner)
