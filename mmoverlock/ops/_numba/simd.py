"""Vector registers for numba: what its loops need to reach the speed of the hardware.

LLVM vectorises a plain loop well, but keeps its sums in memory where the number of terms is known
only at run time. Here a vector is a value, so that sums stay in registers. A vector fills one
register of the machine that compiles: `lanes(array)` says how many elements of that array's dtype
that is. Arrays are one-dimensional and contiguous; nothing checks an index.
"""

import math

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

VECTOR_BYTES = 64 if llvm.get_host_cpu_features().get('avx512f') else 32
SHORT = {'float': 'f32', 'double': 'f64'}  # LLVM's names of a type, in full and in intrinsics


class Vector(types.Type):
    """A register of `dtype`."""

    def __init__(self, dtype: types.Float):
        self.dtype = dtype
        self.lanes = VECTOR_BYTES * 8 // dtype.bitwidth
        super().__init__(f'Vector({dtype})')


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind: Vector):
        element = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


def _splat(builder: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    one = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    one = builder.insert_element(one, scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(one, one, mask)


def _constant(kind: ir.VectorType, number: float | int) -> ir.Constant:
    return ir.Constant(kind, [number] * kind.count)


def _call(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """The LLVM intrinsic `name`, overloaded on the type of its arguments."""
    kind = args[0].type
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [arg.type for arg in args]),
        f'llvm.{name}.v{kind.count}{SHORT[str(kind.element)]}',
    )
    return builder.call(function, args)


def _reduce(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """The LLVM reduction `name` of the last argument, a vector."""
    kind = args[-1].type
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind.element, [arg.type for arg in args]),
        f'llvm.vector.reduce.{name}.v{kind.count}{SHORT[str(kind.element)]}',
    )
    return builder.call(function, args, fastmath=('reassoc',))


def _pointer(context, builder, kind: types.Array, array: ir.Value, index: ir.Value) -> ir.Value:
    data = context.make_array(kind)(context, builder, array).data
    vector = context.get_value_type(Vector(kind.dtype))
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


@intrinsic
def lanes(typing, array):
    """Elements of the dtype of `array` in one vector."""
    count = Vector(array.dtype).lanes
    return types.intp(array), lambda context, builder, signature, args: ir.Constant(
        context.get_value_type(types.intp), count
    )


@intrinsic
def load(typing, array, index):
    """array[index : index + lanes]"""

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], *args)
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, types.intp), codegen


@intrinsic
def prefetch(typing, array, index):
    """Ask for the cache line of array[index], which need not be in the array."""

    def codegen(context, builder, signature, args):
        data = context.make_array(array)(context, builder, args[0]).data
        address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        small = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, small, small, small])
        function = cgutils.get_or_insert_function(builder.module, kind, 'llvm.prefetch.p0')
        to_read, near, data_cache = small(0), small(3), small(1)
        builder.call(function, [address, to_read, near, data_cache])
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


@intrinsic
def store(typing, array, index, vector):
    """array[index : index + lanes] = vector"""

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


@intrinsic(prefer_literal=True)
def repeat(typing, vector, count):
    """The vector `count` times, as a tuple: what :func:`fma_each` adds to. `count` is a literal."""

    def codegen(context, builder, signature, args):
        return context.make_tuple(builder, signature.return_type, [args[0]] * count.literal_value)

    return types.UniTuple(vector, count.literal_value)(vector, count), codegen


@intrinsic
def fma_each(typing, sums, array, index, step, factor):
    """sums[k] + array[index + k·step : + lanes] · factor for every k, as a tuple."""

    def codegen(context, builder, signature, args):
        before, array_value, at, stride, other = args
        after = []
        for k in range(sums.count):
            pointer = _pointer(context, builder, array, array_value, at)
            vector = builder.load(pointer, align=array.dtype.bitwidth // 8)
            after.append(_call(builder, 'fmuladd', vector, other, builder.extract_value(before, k)))
            at = builder.add(at, stride)
        return context.make_tuple(builder, sums, after)

    return sums(sums, array, types.intp, types.intp, factor), codegen


@intrinsic
def fma_pairs(typing, sums, array, index, step, first, second):
    """:func:`fma_each` with the factor `first`, and with `second` one step further on.

    What both need is loaded once.
    """

    def codegen(context, builder, signature, args):
        before, array_value, at, stride, *factors = args
        vectors = []
        for _ in range(sums.count + 1):
            pointer = _pointer(context, builder, array, array_value, at)
            vectors.append(builder.load(pointer, align=array.dtype.bitwidth // 8))
            at = builder.add(at, stride)
        after = []
        for k in range(sums.count):
            total = builder.extract_value(before, k)
            for vector, factor in zip(vectors[k : k + 2], factors, strict=True):
                total = _call(builder, 'fmuladd', vector, factor, total)
            after.append(total)
        return context.make_tuple(builder, sums, after)

    return sums(sums, array, types.intp, types.intp, first, second), codegen


@intrinsic
def fma_splats(typing, sums, array, index, step, factor):
    """sums[k] + array[index + k·step] · factor for every k, as a tuple."""

    def codegen(context, builder, signature, args):
        before, array_value, at, stride, other = args
        data = context.make_array(array)(context, builder, array_value).data
        after = []
        for k in range(sums.count):
            scalar = builder.load(builder.gep(data, [at]))
            vector = _splat(builder, scalar, factor.lanes)
            after.append(_call(builder, 'fmuladd', vector, other, builder.extract_value(before, k)))
            at = builder.add(at, stride)
        return context.make_tuple(builder, sums, after)

    return sums(sums, array, types.intp, types.intp, factor), codegen


@intrinsic
def fma_sum(typing, total, array, index, step, vectors):
    """total + Σ_k array[index + k·step] · vectors[k]; `vectors` is a tuple."""

    def codegen(context, builder, signature, args):
        result, array_value, at, stride, others = args
        data = context.make_array(array)(context, builder, array_value).data
        for k in range(vectors.count):
            vector = _splat(builder, builder.load(builder.gep(data, [at])), total.lanes)
            result = _call(builder, 'fmuladd', vector, builder.extract_value(others, k), result)
            at = builder.add(at, stride)
        return result

    return total(total, array, types.intp, types.intp, vectors), codegen


@intrinsic
def store_each(typing, array, index, step, vectors):
    """array[index + k·step : + lanes] = vectors[k] for every k."""

    def codegen(context, builder, signature, args):
        array_value, at, stride, values = args
        for k in range(vectors.count):
            pointer = _pointer(context, builder, array, array_value, at)
            vector = builder.extract_value(values, k)
            builder.store(vector, pointer, align=array.dtype.bitwidth // 8)
            at = builder.add(at, stride)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, vectors), codegen


@intrinsic
def splat(typing, scalar):
    """A vector that holds `scalar` in every lane."""

    def codegen(context, builder, signature, args):
        return _splat(builder, args[0], signature.return_type.lanes)

    return Vector(scalar)(scalar), codegen


def _elementwise(emit):
    """Codegen from `emit(builder, *vectors)`."""
    return lambda context, builder, signature, args: emit(builder, *args)


@intrinsic
def fma(typing, a, b, c):
    """a · b + c"""
    return a(a, a, a), _elementwise(lambda builder, *v: _call(builder, 'fmuladd', *v))


@intrinsic
def add(typing, a, b):
    """a + b"""
    return a(a, a), _elementwise(lambda builder, *v: builder.fadd(*v))


@intrinsic
def sub(typing, a, b):
    """a - b"""
    return a(a, a), _elementwise(lambda builder, *v: builder.fsub(*v))


@intrinsic
def mul(typing, a, b):
    """a · b"""
    return a(a, a), _elementwise(lambda builder, *v: builder.fmul(*v))


@intrinsic
def full(typing, like, number):
    """A vector like `like` that holds `number`, a float, in every lane."""

    def codegen(context, builder, signature, args):
        scalar = context.cast(builder, args[1], number, like.dtype)
        return _splat(builder, scalar, like.lanes)

    return like(like, number), codegen


@intrinsic
def polynomial(typing, x, single, double):
    """Σ c[k] · x^k; c is the tuple `single` for float32, `double` for float64."""
    wide = x.dtype.bitwidth == 64
    coefficients = double if wide else single

    def codegen(context, builder, signature, args):
        value, numbers, terms = args[0], args[2 if wide else 1], []
        for k in range(coefficients.count):
            number = builder.extract_value(numbers, k)
            number = context.cast(builder, number, coefficients.dtype, x.dtype)
            terms.append(_splat(builder, number, x.lanes))
        result = terms.pop()
        for term in reversed(terms):
            result = _call(builder, 'fmuladd', result, value, term)
        return result

    return x(x, single, double), codegen


@intrinsic
def maximum(typing, a, b):
    """The greater of a and b, lane by lane; of a number and NaN, the number."""
    return a(a, a), _elementwise(lambda builder, *v: _call(builder, 'maxnum', *v))


@intrinsic
def at_least(typing, x, bound):
    """The bound where x is smaller, x elsewhere: NaN stays."""

    def emit(builder, value, limit):
        return builder.select(builder.fcmp_ordered('<', value, limit), limit, value)

    return x(x, x), _elementwise(emit)


@intrinsic
def at_most(typing, x, bound):
    """The bound where x is greater, x elsewhere: NaN stays."""

    def emit(builder, value, limit):
        return builder.select(builder.fcmp_ordered('>', value, limit), limit, value)

    return x(x, x), _elementwise(emit)


@intrinsic
def total(typing, vector):
    """Sum of the lanes, in any order."""

    def codegen(context, builder, signature, args):
        scalar = args[0].type.element
        return _reduce(builder, 'fadd', ir.Constant(scalar, 0), args[0])

    return vector.dtype(vector), codegen


@intrinsic
def highest(typing, vector):
    """Maximum of the lanes, as :func:`maximum` sees it."""
    return vector.dtype(vector), _elementwise(lambda builder, v: _reduce(builder, 'fmax', v))


@intrinsic
def exp(typing, x):
    """e^x for x <= 0, to about one unit in the last place; zero below the smallest normal number.

    x = n·ln 2 + r with an integer n: e^r is a Taylor polynomial, and 2^n is written into the
    exponent's bits. Adding a large constant rounds x / ln 2 to n and leaves n in the low bits of
    the sum, which is defined for NaN as well.
    """
    double = x.dtype.bitwidth == 64
    degree, mantissa = (13, 52) if double else (7, 23)
    largest = 1023 if double else 127  # exponent, and bias of its bits
    shift = 1.5 * 2.0**mantissa
    high, low = 45426 / 65536, 1.4286068203094172e-6  # ln 2 in two parts: n · high is exact
    lowest = -(largest - 1) * math.log(2)

    def codegen(context, builder, signature, args):
        (value,) = args
        kind = value.type
        integers = ir.VectorType(ir.IntType(x.dtype.bitwidth), kind.count)
        vanishes = builder.fcmp_ordered('<', value, _constant(kind, lowest))
        shifted = _call(
            builder, 'fmuladd', value, _constant(kind, 1 / math.log(2)), _constant(kind, shift)
        )
        n = builder.fsub(shifted, _constant(kind, shift))
        rest = _call(builder, 'fmuladd', n, _constant(kind, -high), value)
        rest = _call(builder, 'fmuladd', n, _constant(kind, -low), rest)
        power = _constant(kind, 1 / math.factorial(degree))
        for k in reversed(range(degree)):
            power = _call(builder, 'fmuladd', power, rest, _constant(kind, 1 / math.factorial(k)))
        bits = builder.shl(builder.bitcast(shifted, integers), _constant(integers, mantissa))
        bits = builder.add(bits, _constant(integers, largest << mantissa))
        result = builder.fmul(power, builder.bitcast(bits, kind))
        return builder.select(vanishes, _constant(kind, 0), result)

    return x(x), codegen
