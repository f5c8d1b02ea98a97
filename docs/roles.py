"""Docstrings have Sphinx's markup, MkDocs reads Markdown: this griffe extension translates."""

from __future__ import annotations

import re

import griffe

ROLE = re.compile(r':(?:class|func|meth|attr|mod|data):`[~.]*([^`]+)`')
LITERAL_BLOCK = re.compile(r'::$', re.MULTILINE)


class SphinxRoles(griffe.Extension):
    """Show a role such as a class's as code, and begin indented code blocks with one colon."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        if obj.docstring:
            text = ROLE.sub(r'`\1`', obj.docstring.value)
            obj.docstring.value = LITERAL_BLOCK.sub(':', text)
