"""Loops that numba compiles, on the threads that PyTorch has.

Numba would start threads of its own, and after a parallel operation the threads of one library
wait for a while, busily, on the cores that the other library's want. PyTorch's OpenMP runtime
offers its threads to anybody by `GOMP_parallel`, which compilers call for a parallel region. Where
there is none (macOS, Windows), threads are started for the occasion.
"""

import ctypes
import threading
from pathlib import Path

import llvmlite.binding as llvm
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# (work, data, threads, flags): calls work(data) on each of the threads.
PARALLEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
SYMBOL = 'mmoverlock_parallel'


def _start_threads(work: int, data: int | None, threads: int, flags: int) -> None:
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(work)
    helpers = [threading.Thread(target=run, args=(data,)) for _ in range(threads - 1)]
    for helper in helpers:
        helper.start()
    run(data)
    for helper in helpers:
        helper.join()


def _find_parallel() -> ctypes._CFuncPtr:
    for library in Path(torch.__file__).parent.joinpath('lib').glob('libtorch_cpu.*'):
        function = getattr(ctypes.CDLL(str(library)), 'GOMP_parallel', None)
        if function is not None:
            return function
    return PARALLEL(_start_threads)


_parallel = _find_parallel()  # kept alive: compiled loops have its address
llvm.add_symbol(SYMBOL, ctypes.cast(_parallel, ctypes.c_void_p).value)


@intrinsic
def parallel_for(typing, kernel, pieces, threads, args):
    """Call kernel(piece, *args) for every piece, each on whichever of the threads is free.

    `kernel` is compiled by numba, returns nothing and raises nothing; `args` is a tuple. Numba does
    not cache functions that close over another: hence a caller written out for every kernel.
    """
    dispatcher = kernel.dispatcher
    kinds = (types.intp, *args.types)
    dispatcher.get_call_template(kinds, {})  # compiles it

    def codegen(context, builder, signature, values):
        _, count, team, arguments = values
        compiled = dispatcher.overloads[kinds]
        context.add_linking_libs((compiled.library,))
        integer, pointer = count.type, ir.IntType(8).as_pointer()
        shared = ir.LiteralStructType([integer, integer, arguments.type])  # next piece, pieces
        data = cgutils.alloca_once(builder, shared)
        for k, value in enumerate((integer(0), count, arguments)):
            builder.store(value, cgutils.gep_inbounds(builder, data, 0, k))

        work_type = ir.FunctionType(ir.VoidType(), [pointer])
        name = builder.module.get_unique_name(f'{builder.function.name}.work')
        work = ir.Function(builder.module, work_type, name)
        work.linkage = 'internal'
        inner = ir.IRBuilder(work.append_basic_block('entry'))
        ours = inner.bitcast(work.args[0], shared.as_pointer())
        total = inner.load(cgutils.gep_inbounds(inner, ours, 0, 1))
        given = inner.load(cgutils.gep_inbounds(inner, ours, 0, 2))
        unpacked = cgutils.unpack_tuple(inner, given)
        function = context.declare_function(builder.module, compiled.fndesc)
        loop, body, done = (work.append_basic_block(name) for name in ('loop', 'body', 'done'))
        inner.branch(loop)
        inner.position_at_end(loop)
        counter = cgutils.gep_inbounds(inner, ours, 0, 0)
        piece = inner.atomic_rmw('add', counter, integer(1), 'monotonic')
        inner.cbranch(inner.icmp_signed('<', piece, total), body, done)
        inner.position_at_end(body)
        context.call_conv.call_function(
            inner, function, compiled.signature.return_type, kinds, [piece, *unpacked]
        )
        inner.branch(loop)
        inner.position_at_end(done)
        inner.ret_void()

        small = ir.IntType(32)
        parallel_type = ir.FunctionType(ir.VoidType(), [work.type, pointer, small, small])
        parallel = cgutils.get_or_insert_function(builder.module, parallel_type, SYMBOL)
        number = builder.trunc(team, small)
        builder.call(parallel, [work, builder.bitcast(data, pointer), number, small(0)])
        return context.get_dummy_value()

    return types.void(kernel, types.intp, types.intp, args), codegen
