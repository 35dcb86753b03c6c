"""A small program written by hand in LLVM IR, so that the runtime is tested without the compiler's phases.

main(x: float32[1x4096], bias: float32[16]) -> y: float32[1x4096], sum: float32[]
    step 0   arena[i] = x[i] * constants[i]
    step 1   y[i] = arena[4095 - i] + bias[i % 16]      each thread reads what others wrote
    step 2   sum = y[0] + y[4095]                       thread 0

shift(x: int8[8]) -> x: int8[8]                         adds 1
"""

from __future__ import annotations

import functools

import numpy as np
from tosaic.lowering.codegen.assemble import assemble
from tosaic.lowering.codegen.image import link
from tosaic.lowering.target import resolve_target
from tosaic.runtime.artifact import Artifact, BufferReference, Image, Signature, Step, TensorInfo

SIZE = 4096
TARGET = "x86-64-v2"

_IR = """
%Call = type { ptr, ptr, ptr, ptr, ptr, i64, i64, ptr, ptr }
%Pool = type { i32, [60 x i8], i32, i32, ptr, ptr, [40 x i8] }

declare i64 @llvm.readcyclecounter()

define internal void @barrier(ptr %call) {
  %threads = call i64 @field(ptr %call, i64 48)
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %state.address = getelementptr i8, ptr %call, i64 64
  %state = load ptr, ptr %state.address
  %phase.address = getelementptr i8, ptr %state, i64 64
  %phase = load atomic i32, ptr %phase.address monotonic, align 4
  %before = atomicrmw add ptr %state, i32 1 acq_rel
  %wide = sext i32 %before to i64
  %count = add i64 %wide, 1
  %last = icmp eq i64 %count, %threads
  br i1 %last, label %release, label %wait
release:
  store atomic i32 0, ptr %state monotonic, align 4
  %next = add i32 %phase, 1
  store atomic i32 %next, ptr %phase.address release, align 4
  br label %done
wait:
  %now = load atomic i32, ptr %phase.address acquire, align 4
  %same = icmp eq i32 %now, %phase
  br i1 %same, label %wait, label %done
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
  call void @barrier(ptr %call)
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
  call void @barrier(ptr %call)
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
  call void @barrier(ptr %call)
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
  call void @barrier(ptr %call)
  ret void
}

define void @invoke(ptr %pool, ptr %function, ptr %call) {
  %threads = call i64 @field(ptr %call, i64 48)
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %run, label %publish
publish:
  %function.address = getelementptr %Pool, ptr %pool, i64 0, i32 4
  store ptr %function, ptr %function.address
  %call.address = getelementptr %Pool, ptr %pool, i64 0, i32 5
  store ptr %call, ptr %call.address
  %generation = atomicrmw add ptr %pool, i32 1 seq_cst
  %sleeping.address = getelementptr %Pool, ptr %pool, i64 0, i32 2
  %sleeping = load atomic i32, ptr %sleeping.address seq_cst, align 4
  %awake = icmp eq i32 %sleeping, 0
  br i1 %awake, label %run, label %wake
wake:
  call i64 asm sideeffect "syscall", "={rax},{rax},{rdi},{rsi},{rdx},{r10},~{rcx},~{r11},~{memory}"(
    i64 202, ptr %pool, i64 129, i64 2147483647, i64 0)
  br label %run
run:
  call void %function(ptr %call, i64 0)
  ret void
}

define void @worker(ptr %pool, i64 %thread) {
entry:
  %sleeping = getelementptr %Pool, ptr %pool, i64 0, i32 2
  br label %spin
spin:
  %seen = phi i32 [ 0, %entry ], [ %seen, %again ], [ %seen, %sleep ], [ %now, %run ]
  %tries = phi i32 [ 0, %entry ], [ %tries.next, %again ], [ 0, %sleep ], [ 0, %run ]
  %now = load atomic i32, ptr %pool acquire, align 4
  %published = icmp ne i32 %now, %seen
  br i1 %published, label %wake, label %idle
idle:
  %tries.next = add i32 %tries, 1
  %tired = icmp eq i32 %tries.next, 1000
  br i1 %tired, label %sleep, label %again
again:
  br label %spin
sleep:
  %one = atomicrmw add ptr %sleeping, i32 1 seq_cst
  %expected = zext i32 %seen to i64
  call i64 asm sideeffect "syscall", "={rax},{rax},{rdi},{rsi},{rdx},{r10},~{rcx},~{r11},~{memory}"(
    i64 202, ptr %pool, i64 128, i64 %expected, i64 0)
  %back = atomicrmw sub ptr %sleeping, i32 1 seq_cst
  br label %spin
wake:
  %stop.address = getelementptr %Pool, ptr %pool, i64 0, i32 3
  %stop = load atomic i32, ptr %stop.address acquire, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %done, label %run
run:
  %function.address = getelementptr %Pool, ptr %pool, i64 0, i32 4
  %function = load ptr, ptr %function.address
  %call.address = getelementptr %Pool, ptr %pool, i64 0, i32 5
  %call = load ptr, ptr %call.address
  call void %function(ptr %call, i64 %thread)
  br label %spin
done:
  ret void
}
"""

_SYMBOLS = {"invoke": "invoke", "worker": "worker", "run:main": "run_main", "run:shift": "run_shift"}


@functools.cache
def image() -> Image:
    """The program's machine code for any x86-64 CPU of the last decade."""
    target = resolve_target(TARGET)
    linked = link([assemble(_IR, target)])
    return Image(TARGET, target.features, linked.code, {e: linked.symbols[s] for e, s in _SYMBOLS.items()})


def weights() -> np.ndarray:
    """float32[4096], the program's constants."""
    return np.linspace(-2, 2, SIZE, dtype=np.float32)


def artifact(**metadata: str) -> Artifact:
    """The program as the compiler would hand it over."""
    size = 4 * SIZE
    x, y = BufferReference("input", 0, 0, size), BufferReference("output", 0, 0, size)
    temporary = BufferReference("arena", 0, 0, size)
    steps = (
        Step("multiply", (x, BufferReference("constants", 0, 0, size), temporary), "cpu", SIZE, 3 * size, "x * c"),
        Step("reverse", (temporary, BufferReference("input", 1, 0, 64), y), "cpu", SIZE, 2 * size, "reverse + bias"),
        Step("sum", (y, BufferReference("output", 1, 0, 4)), "cpu", 1, 12, "ends"),
    )
    main = Signature(
        "main",
        (TensorInfo("x", "float32", (1, SIZE)), TensorInfo("bias", "float32", (16,))),
        (TensorInfo("y", "float32", (1, SIZE)), TensorInfo("sum", "float32", ())),
        steps,
        arena_bytes=size,
        scratch_bytes=0,
    )
    shift = Signature(
        "shift",
        (TensorInfo("x", "int8", (8,)),),
        (TensorInfo("x", "int8", (8,)),),
        (Step("shift", (BufferReference("input", 0, 0, 8), BufferReference("output", 0, 0, 8)), "cpu", 8, 16, "+ 1"),),
        arena_bytes=0,
        scratch_bytes=64,
    )
    return Artifact((main, shift), (image(),), weights().tobytes(), metadata)


def expected(x: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `main` computes, with the same roundings."""
    y = (x * weights())[:, ::-1] + np.tile(bias, SIZE // 16)
    return y, y[0, 0] + y[0, -1]
