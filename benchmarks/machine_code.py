"""What a kernel that Triton has compiled takes of a GPU, read from its machine code.

The tools come with Triton (cuobjdump, nvdisasm); for AMD's GPUs its assembly says all. No GPU is
needed. Instructions are counted in the innermost loop that does most of the arithmetic.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import triton

TOOLS = Path(triton.__file__).parent / 'backends/nvidia/bin'


@dataclass(frozen=True)
class Device:
    """Public figures of a kind of GPU.

    Attributes:
        registers: Of a thread, at most.
        shared: Bytes of shared memory of a block, at most.
        warps: Resident on a multiprocessor, at most (AMD: on a SIMD).
        file: Registers of a multiprocessor, for all of its threads.
        fma: Multiply-adds of float32 that it starts for a warp in a cycle; packed ones are two.
    """

    registers: int
    shared: int
    warps: int
    file: int
    fma: int


# CUDA C++ programming guide, "Compute capabilities"; AMD CDNA 2 and 3 ISA guides.
DEVICES = {
    'sm_75': Device(255, 64 << 10, 32, 1 << 16, 2),
    'sm_80': Device(255, 163 << 10, 64, 1 << 16, 2),
    'sm_90': Device(255, 227 << 10, 64, 1 << 16, 4),
    'sm_100': Device(255, 227 << 10, 64, 1 << 16, 4),
    'gfx90a': Device(512, 64 << 10, 8, 1 << 15, 2),
    'gfx942': Device(512, 64 << 10, 8, 1 << 15, 2),
}


@dataclass(frozen=True)
class Usage:
    """What one compiled kernel takes.

    Attributes:
        registers: Of a thread.
        spilled: Bytes of a thread's registers that go to memory.
        shared: Bytes of a block.
        occupancy: Share of the warps that fit on a multiprocessor.
        loop: Instructions of the main loop: their names, and how often each stands there.
    """

    registers: int
    spilled: int
    shared: int
    occupancy: float
    loop: Counter

    def count(self, pattern: str) -> int:
        """Instructions of the main loop whose names match from the beginning."""
        return sum(number for name, number in self.loop.items() if re.match(pattern, name))

    def multiply_adds(self) -> int:
        """Of float32 in the main loop; some instructions do two."""
        fused, packed = r'FFMA|v_(?:pk_)?(?:fma|mac|fmac)', r'FFMA2|v_pk_fma'
        return self.count(fused) + self.count(packed)

    def loads(self) -> dict[int, int]:
        """Loads from global memory in the main loop, by their bytes in one thread."""
        found = Counter()
        for name, number in self.loop.items():
            bits = _load_bits(name)
            if bits:
                found[bits // 8] += number
        return dict(sorted(found.items()))


def _load_bits(name: str) -> int | None:
    if name.startswith('LDG'):
        width = re.search(r'\.(?:U|S)?(8|16|64|128|256)\b', name)
        return int(width[1]) if width else 32
    amd = re.match(r'(?:global|buffer|flat)_load_(?:u|s)?(byte|short|dwordx?(\d?)|d16)', name)
    if amd is None:
        return None
    return {'byte': 8, 'short': 16, 'd16': 16}.get(amd[1]) or 32 * int(amd[2] or 1)


def usage(kernel: triton.compiler.CompiledKernel, target: str) -> Usage:
    """Read a compiled kernel."""
    device, shared = DEVICES[target], kernel.metadata.shared
    if target.startswith('gfx'):
        text = kernel.asm['amdgcn']
        numbers = {name: int(n) for name, n in re.findall(r'\.?(\w+): +(\d+)\n', text)}
        registers = numbers['vgpr_count'] + numbers['agpr_count']
        spilled = 4 * (numbers['vgpr_spill_count'] + numbers['sgpr_spill_count'])
        lines = re.findall(r'^(?:(\.LBB\w+):|\t(\w+)(?: (.*))?)$', text, re.M)
        jump = r's_cbranch_\w+|s_branch'
        work = r'v_(?:pk_)?(?:fma|mac|fmac)|v_mfma|v_exp'
        occupancy = numbers['Occupancy'] / device.warps
    else:
        with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
            file.write(kernel.asm['cubin'])
            file.flush()
            report = _run('cuobjdump', '-res-usage', file.name)
            text = _run('nvdisasm', '-c', '--no-dataflow', file.name)
        numbers = {name: int(n) for name, n in re.findall(r'(REG|STACK|LOCAL):(\d+)', report)}
        registers, spilled = numbers['REG'], numbers['STACK'] + numbers['LOCAL']
        code = r'^(?:(\.L_x_\w+):| +/\*\w+\*/ +(?:@!?U?P\w+ )?([A-Z][\w.]+)(?: ([^;]*))?;)'
        lines = re.findall(code, text, re.M)
        jump, work = r'BRA(?:\.U)?', r'FFMA|HMMA|HGMMA|UTCHMMA|MUFU\.EX2'
        occupancy = _occupancy(registers, shared, kernel.metadata.num_warps, device)
    return Usage(registers, spilled, shared, occupancy, _main_loop(lines, jump, work))


def _occupancy(registers: int, shared: int, warps: int, device: Device) -> float:
    warp = -(-registers * 32 // 256) * 256  # registers are given out in units of 256
    blocks = min(device.warps // warps, device.file // (warp * warps), 32)
    if shared:
        blocks = min(blocks, device.shared // shared)
    return blocks * warps / device.warps


def _main_loop(lines: list[tuple[str, str, str]], jump: str, work: str) -> Counter:
    """Of the innermost loops, the one with most of the arithmetic; all the code if there is none.

    `lines` are (label, instruction, operands) in their order; a loop ends with a jump back. One
    without arithmetic waits for something.
    """
    labels = {label: at for at, (label, *_) in enumerate(lines) if label}
    loops = []
    for at, (_, name, operands) in enumerate(lines):
        to = re.search(r'\.L\w+', operands) if re.fullmatch(jump, name) else None
        first = labels.get(to[0], at) if to else at
        if any(re.match(work, name) for _, name, _ in lines[first:at]):
            loops.append((first, at))
    inner = [
        (first, last)
        for first, last in loops
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in loops)
    ]
    counted = [
        Counter(name for _, name, _ in lines[first : last + 1] if name)
        for first, last in inner or [(0, len(lines) - 1)]
    ]
    return max(counted, key=lambda loop: sum(n for name, n in loop.items() if re.match(work, name)))


def _run(tool: str, *args: str) -> str:
    return subprocess.run([TOOLS / tool, *args], capture_output=True, text=True, check=True).stdout
