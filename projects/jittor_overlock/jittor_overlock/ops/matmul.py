"""Matrix product on the CPU, by OpenBLAS.

Jittor's own loops are slow, and the oneDNN that it would use comes from a server of its own.
OpenBLAS comes as a package.
"""

import jittor as jt
import scipy_openblas32 as openblas

from .code import code

_FLAGS = (
    f'-I"{openblas.get_include_dir()}" -L"{openblas.get_lib_dir()}" '
    f'-Wl,-rpath,"{openblas.get_lib_dir()}" -l{openblas.get_library()}'
)


class _Matmul(jt.Function):
    def execute(self, a: jt.Var, b: jt.Var, transpose_b: bool) -> jt.Var:
        self.saved = a, b, transpose_b
        return _product(a, b, False, transpose_b)

    def grad(self, grad: jt.Var) -> tuple[jt.Var, jt.Var, None]:
        a, b, transpose_b = self.saved
        grad_b = _product(grad, a, True, False) if transpose_b else _product(a, grad, True, False)
        return _product(grad, b, False, not transpose_b), grad_b, None


def _product(a: jt.Var, b: jt.Var, transpose_a: bool, transpose_b: bool) -> jt.Var:
    row, depth = (1, 0) if transpose_a else (0, 1)
    column = 0 if transpose_b else 1
    sizes = f'in0_shape{row}, in1_shape{column}, in0_shape{depth}'
    flags = f'{str(transpose_a).lower()}, {str(transpose_b).lower()}'
    call = f'product(in0_p, in1_p, out0_p, {sizes}, {flags});'
    (out,) = code(['matmul.h'], call, [(a.shape[row], b.shape[column])], [a, b], _FLAGS)
    return out


def matmul(a: jt.Var, b: jt.Var, transpose_b: bool = False) -> jt.Var:
    """(M, K) times (K, N), or (N, K) if `transpose_b`, both float32 → (M, N)."""
    return _Matmul.apply(a, b, transpose_b)
