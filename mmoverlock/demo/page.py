"""The page, of gradio's components. It fetches nothing from other hosts."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from mmoverlock.runtime.images import SUFFIXES

from .viewer import Found, Viewer

KEPT = 3600  # seconds that uploaded pictures are kept for
# System fonts: nothing is fetched.
FONTS = dict(
    font=['ui-sans-serif', 'system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace']
)
CSS = """
footer { display: none !important; }
.message { color: var(--error-text-color, #b91c1c); font-weight: 600; }
"""


def build_page(viewer: Viewer, title: str, examples: Sequence[Path] = ()) -> gr.Blocks:
    """Lay out the page: a place for a picture, a slider, and for each model picture and table."""
    with gr.Blocks(
        title=title, analytics_enabled=False, delete_cache=(KEPT, KEPT), fill_width=True
    ) as page:
        gr.Markdown(f'# {html.escape(title)}')
        found = gr.State(None)
        with gr.Row():
            file = gr.File(
                label='Picture', file_types=list(SUFFIXES), type='filepath', height=140, scale=2
            )
            control = viewer.control
            slider = gr.Slider(
                control.least, control.most, control.start, step=control.step, label=control.label
            )
        message = gr.HTML('', elem_id='message')
        outputs = []
        with gr.Row():
            for name in viewer.names:
                with gr.Column():
                    outputs.append(
                        gr.Image(
                            label=name, format='png', interactive=False,
                            buttons=['download', 'fullscreen'],
                        )
                    )  # fmt: skip
                    outputs.append(
                        gr.Dataframe(label=name, headers=viewer.headings, interactive=False)
                    )

        def look(path: str | None, value: float) -> list[Any]:
            return _look(viewer, path, value)

        def show(seen: Found | None, value: float) -> list[Any]:
            return _show(viewer, seen, value)

        def choose(chosen: gr.SelectData) -> str:
            return str(examples[chosen.index])

        file.change(look, [file, slider], [found, message, *outputs], api_visibility='private')
        slider.change(
            show, [found, slider], outputs, api_visibility='private',
            trigger_mode='always_last', show_progress='hidden',
        )  # fmt: skip
        if examples:
            gallery = gr.Gallery(
                [str(path) for path in examples], label='Examples', columns=8, height=160,
                allow_preview=False, interactive=False, buttons=[],
            )  # fmt: skip
            gallery.select(choose, None, file, api_visibility='private')
    return page


def _look(viewer: Viewer, path: str | None, value: float) -> list[Any]:
    nothing = [None] * (2 * len(viewer.models))
    if path is None:
        return [None, '', *nothing]
    try:
        found = viewer.look(path)
    except ValueError as error:
        text = f'<p class="message" role="alert">{html.escape(str(error))}</p>'
        return [None, text, *nothing]
    return [found, '', *_show(viewer, found, value)]


def _show(viewer: Viewer, found: Found | None, value: float) -> list[Any]:
    if found is None:
        return [None] * (2 * len(viewer.models))
    return [part for pair in viewer.show(found, value) for part in pair]
