"""Operators of Jittor out of the C++ that lies beside this file."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jittor as jt


@cache
def source(name: str) -> str:
    """The text of a header."""
    return Path(__file__).with_name(name).read_text('utf-8')


def code(
    headers: Sequence[str],
    calls: str,
    shapes: Sequence[Sequence[int]],
    inputs: list[jt.Var],
    flags: str = '',
    cuda: bool = False,
) -> list[jt.Var]:
    """An operator that runs `calls`, C++ statements.

    Args:
        headers: Files whose functions they call.
        calls: ``in0_p``, ... are the inputs, ``in0_shape0``, ... their sizes, ``out0_p``, ... the
            outputs.
        shapes: Of the outputs.
        inputs: float32.
        flags: For the compiler.
        cuda: The same sources serve CUDA; otherwise the operator is for the CPU.

    Returns:
        float32 outputs.
    """
    text = ''.join(map(source, headers))
    on_gpu = dict(cuda_header=f'#define GPU\n{text}', cuda_src=calls) if cuda else {}
    outputs = jt.code(
        [tuple(shape) for shape in shapes],
        ['float32'] * len(shapes),
        inputs,
        cpu_header=text,
        cpu_src=calls,
        **on_gpu,
    )
    if flags:
        for output in outputs:
            output.compile_options = {f'FLAGS: {flags} ': 1}
    return outputs
