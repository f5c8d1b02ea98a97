"""Serves the page on this machine: no link to share, no telemetry, no other host."""

import errno
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mmoverlock.environment import forbid_telemetry

from .viewer import Viewer

INSTALL = "pip install 'mmoverlock[demo]'"
FIRST = 7860  # the ports that are tried, if none is asked for
TRIED = 100


class Server:
    """The running page; leaving it as a context, or :meth:`close`, ends it.

    Attributes:
        url: The page's address.
    """

    def __init__(self, page: Any, url: str):
        self.url = url
        self._page = page

    def close(self) -> None:
        self._page.close(verbose=False)

    def __enter__(self) -> 'Server':
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(
    viewer: Viewer,
    title: str,
    examples: Sequence[Path] = (),
    host: str = '127.0.0.1',
    port: int | None = None,
) -> Server:
    """Start the page in threads of this process.

    Args:
        viewer: The models.
        title: Of the page.
        examples: Image files that are offered.
        host: The address that is listened on; '0.0.0.0' stands for all of this machine.
        port: By default the first free one from 7860 on.

    Raises:
        ValueError: gradio is missing, the port is taken, or the address is not this machine's.
    """
    require_gradio()
    from . import page

    port = _free_port(host, port)
    blocks = page.build_page(viewer, title, examples)
    blocks.launch(
        prevent_thread_lock=True, quiet=True, share=False, server_name=host, server_port=port,
        ssr_mode=False, footer_links=[], enable_monitoring=False, show_error=True, pwa=False,
        mcp_server=False, theme=page.gr.themes.Base(**page.FONTS), css=page.CSS,
    )  # fmt: skip
    return Server(blocks, f'http://{"localhost" if host == "0.0.0.0" else host}:{port}/')


def require_gradio() -> None:
    """Import gradio, with its telemetry off; ValueError with the command that installs it."""
    forbid_telemetry()
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != 'gradio':
            raise
        raise ValueError(f"'gradio' is needed, but not installed: {INSTALL}") from None


def _free_port(host: str, port: int | None) -> int:
    """`port` if it can be listened on, or the first free one."""
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f'port={port}: a number from 1 to 65535 is needed')
    ports = range(FIRST, FIRST + TRIED) if port is None else [port]
    for number in ports:
        try:
            family, *_, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
            return number
        except socket.gaierror as error:
            raise ValueError(f'host={host!r}: no address of this machine') from error
        except OSError as error:
            if isinstance(error, PermissionError) or error.errno != errno.EADDRINUSE:
                what = f'port={port}' if isinstance(error, PermissionError) else f'host={host!r}'
                raise ValueError(f'{what}: {error.strerror}') from error
    if port is None:
        raise ValueError(f'no port from {FIRST} to {FIRST + TRIED - 1} is free')
    raise ValueError(f'port={port}: another program uses it, choose another one')
