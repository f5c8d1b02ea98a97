"""A local web page that shows what trained models find in a picture. Needs gradio."""

from .server import Server, serve
from .viewer import Viewer

__all__ = ['Server', 'Viewer', 'serve']
