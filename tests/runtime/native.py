"""A small program written by hand in LLVM IR, so that the runtime is tested without the compiler's phases.

Only how threads meet is the compiler's own: `runtime.abi` is held from both sides.

main(x: float32[1x4096], bias: float32[16]) -> y: float32[1x4096], sum: float32[]
    step 0   arena[i] = x[i] * constants[i]
    step 1   y[i] = arena[4095 - i] + bias[i % 16]      each thread reads what others wrote
    step 2   sum = y[0] + y[4095]                       thread 0

shift(x: int8[8]) -> x: int8[8]                         adds 1
"""

from __future__ import annotations

import functools
import platform
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tosaic.lowering.codegen.assemble import assemble
from tosaic.lowering.codegen.image import link
from tosaic.lowering.codegen.threads import emit_threads
from tosaic.lowering.target import resolve_target
from tosaic.runtime.artifact import (
    Artifact,
    BufferReference,
    DeviceSlot,
    Image,
    Segment,
    Signature,
    Step,
    TensorInfo,
    TensorType,
    Variant,
)
from tosaic.runtime.host_program.instructions import NONE, Block, Execute, HostProgram

SIZE = 4096
TARGET = "x86-64-v2"

_IR = """
define internal void @sync(ptr %call) {
  %threads = call i64 @field(ptr %call, i64 48)
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %done, label %wait
wait:
  %state.integer = call i64 @field(ptr %call, i64 64)
  %state = inttoptr i64 %state.integer to ptr
  %count = trunc i64 %threads to i32
  call void @barrier(ptr %state, i32 %count)
  br label %done
done:
  ret void
}

define internal i64 @field(ptr %call, i64 %offset) {
  %address = getelementptr i8, ptr %call, i64 %offset
  %value = load i64, ptr %address
  ret i64 %value
}

define internal ptr @slot(ptr %call, i64 %field, i64 %index) {
  %array = call i64 @field(ptr %call, i64 %field)
  %base = inttoptr i64 %array to ptr
  %address = getelementptr ptr, ptr %base, i64 %index
  %value = load ptr, ptr %address
  ret ptr %value
}

define internal void @mark(ptr %call, i64 %thread, i64 %step, i64 %which) {
  %trace = call i64 @field(ptr %call, i64 56)
  %off = icmp eq i64 %trace, 0
  br i1 %off, label %done, label %write
write:
  %threads = call i64 @field(ptr %call, i64 48)
  %row = mul i64 %step, %threads
  %cell = add i64 %row, %thread
  %pair = mul i64 %cell, 2
  %index = add i64 %pair, %which
  %base = inttoptr i64 %trace to ptr
  %address = getelementptr i64, ptr %base, i64 %index
  %now = call i64 @llvm.readcyclecounter()
  store i64 %now, ptr %address
  br label %done
done:
  ret void
}

define void @run_main(ptr %call, i64 %thread) {
entry:
  %threads = call i64 @field(ptr %call, i64 48)
  %arena.integer = call i64 @field(ptr %call, i64 16)
  %arena = inttoptr i64 %arena.integer to ptr
  %constants.integer = call i64 @field(ptr %call, i64 24)
  %constants = inttoptr i64 %constants.integer to ptr
  %x = call ptr @slot(ptr %call, i64 0, i64 0)
  %bias = call ptr @slot(ptr %call, i64 0, i64 1)
  %y = call ptr @slot(ptr %call, i64 8, i64 0)
  %sum = call ptr @slot(ptr %call, i64 8, i64 1)
  call void @mark(ptr %call, i64 %thread, i64 0, i64 0)
  br label %multiply
multiply:
  %i = phi i64 [ %thread, %entry ], [ %i.next, %multiply ]
  %x.address = getelementptr float, ptr %x, i64 %i
  %x.value = load float, ptr %x.address
  %c.address = getelementptr float, ptr %constants, i64 %i
  %c.value = load float, ptr %c.address
  %product = fmul float %x.value, %c.value
  %a.address = getelementptr float, ptr %arena, i64 %i
  store float %product, ptr %a.address
  %i.next = add i64 %i, %threads
  %i.more = icmp slt i64 %i.next, 4096
  br i1 %i.more, label %multiply, label %multiplied
multiplied:
  call void @mark(ptr %call, i64 %thread, i64 0, i64 1)
  call void @sync(ptr %call)
  call void @mark(ptr %call, i64 %thread, i64 1, i64 0)
  br label %reverse
reverse:
  %j = phi i64 [ %thread, %multiplied ], [ %j.next, %reverse ]
  %k = sub i64 4095, %j
  %k.address = getelementptr float, ptr %arena, i64 %k
  %k.value = load float, ptr %k.address
  %j.low = and i64 %j, 15
  %b.address = getelementptr float, ptr %bias, i64 %j.low
  %b.value = load float, ptr %b.address
  %biased = fadd float %k.value, %b.value
  %y.address = getelementptr float, ptr %y, i64 %j
  store float %biased, ptr %y.address
  %j.next = add i64 %j, %threads
  %j.more = icmp slt i64 %j.next, 4096
  br i1 %j.more, label %reverse, label %reversed
reversed:
  call void @mark(ptr %call, i64 %thread, i64 1, i64 1)
  call void @sync(ptr %call)
  call void @mark(ptr %call, i64 %thread, i64 2, i64 0)
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %add, label %done
add:
  %y.first = load float, ptr %y
  %y.last.address = getelementptr float, ptr %y, i64 4095
  %y.last = load float, ptr %y.last.address
  %total = fadd float %y.first, %y.last
  store float %total, ptr %sum
  br label %done
done:
  call void @mark(ptr %call, i64 %thread, i64 2, i64 1)
  call void @sync(ptr %call)
  ret void
}

define void @run_shift(ptr %call, i64 %thread) {
  %x = call ptr @slot(ptr %call, i64 0, i64 0)
  %y = call ptr @slot(ptr %call, i64 8, i64 0)
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %add, label %done
add:
  %value = load <8 x i8>, ptr %x, align 1
  %shifted = add <8 x i8> %value, splat (i8 1)
  store <8 x i8> %shifted, ptr %y, align 1
  br label %done
done:
  call void @sync(ptr %call)
  ret void
}
"""

_SYMBOLS = {"invoke": "invoke", "worker": "worker", "run:main": "run_main", "run:shift": "run_shift"}


@functools.cache
def image() -> Image:
    """The program's machine code for any x86-64 CPU of the last decade; skips the test on others."""
    if platform.machine() != "x86_64":
        pytest.skip("machine code for x86-64")
    target = resolve_target(TARGET)
    linked = link([assemble(_IR + emit_threads(target), target)])
    return Image(TARGET, target.features, linked.code, {e: linked.symbols[s] for e, s in _SYMBOLS.items()}, segments())


def weights() -> np.ndarray:
    """float32[4096], the program's constants."""
    return np.linspace(-2, 2, SIZE, dtype=np.float32)


def segments() -> tuple[Segment, Segment]:
    """What the code above does, step by step."""
    size = 4 * SIZE
    x, y = BufferReference("input", 0, 0, size), BufferReference("output", 0, 0, size)
    temporary = BufferReference("arena", 0, 0, size)
    steps = (
        Step("multiply", (x, BufferReference("constants", 0, 0, size), temporary), SIZE, 3 * size, "x * c"),
        Step("reverse", (temporary, BufferReference("input", 1, 0, 64), y), SIZE, 2 * size, "reverse + bias"),
        Step("sum", (y, BufferReference("output", 1, 0, 4)), 1, 12, "ends"),
    )
    shift = Step("shift", (BufferReference("input", 0, 0, 8), BufferReference("output", 0, 0, 8)), 8, 16, "+ 1")
    main, other = signatures()
    return (
        Segment("main", _types(main.inputs), _types(main.outputs), 0, steps, size, scratch_bytes=0),
        Segment("shift", _types(other.inputs), _types(other.outputs), 0, (shift,), arena_bytes=0, scratch_bytes=64),
    )


def _types(tensors: tuple[TensorInfo, ...]) -> tuple[TensorType, ...]:
    return tuple(tensor.type for tensor in tensors)


def signatures() -> tuple[Signature, Signature]:
    main = Signature(
        "main",
        (TensorInfo("x", "float32", (1, SIZE)), TensorInfo("bias", "float32", (16,))),
        (TensorInfo("y", "float32", (1, SIZE)), TensorInfo("sum", "float32", ())),
    )
    return main, Signature("shift", (TensorInfo("x", "int8", (8,)),), (TensorInfo("x", "int8", (8,)),))


def programs() -> tuple[HostProgram, HostProgram]:
    """Each runs its segment."""
    main = Block((0, 1), (Execute(0, 0, (0, 1), (), (), NONE, (2, 3)),), (2, 3))
    shift = Block((0,), (Execute(0, 1, (0,), (), (), NONE, (1,)),), (1,))
    return HostProgram("main", 4, (main,)), HostProgram("shift", 2, (shift,))


def artifact(threads: int = 0, **metadata: str) -> Artifact:
    """The program as the compiler would hand it over."""
    variant = Variant((image(),), programs())
    return Artifact(signatures(), (DeviceSlot("cpu", "cpu", threads),), (variant,), weights().tobytes(), metadata)


def replaced_image(artifact: Artifact, **changes: Any) -> Artifact:
    """`artifact` with other fields in its only image."""
    (variant,) = artifact.variants
    (image,) = variant.images
    variant = replace(variant, images=(replace(image, **changes),))
    return replace(artifact, variants=(variant,))


def expected(x: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `main` computes, with the same roundings."""
    y = (x * weights())[:, ::-1] + np.tile(bias, SIZE // 16)
    return y, y[0, 0] + y[0, -1]
