"""What `deploy` tells people: the plan, timings, profiles and traces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .api import Function, Program
from .atomic import atomic_write
from .measure import Profile, Timing

RIGHT = ">"
LEFT = "<"


def format_table(header: Mapping[str, str], rows: Iterable[Iterable[str]]) -> str:
    """Columns padded to their widest cell. `header` maps each column's title to its alignment."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(f"{cell:{align}{width}}" for cell, align, width in zip(row, header.values(), widths, strict=True))
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def describe_plan(program: Program) -> str:
    """Devices, signatures, dispatches with their layouts, weights and memory."""
    artifact = program.artifact
    images = [image for variant in artifact.variants for image in variant.images]
    targets = ", ".join(executable.target for _, executable in program.devices)
    threads = ", ".join(str(executable.threads) for _, executable in program.devices)
    parts = [
        f"target   {targets}",
        f"threads  {threads}",
        f"weights  {_bytes(memoryview(artifact.constants).nbytes)}",
        f"code     {_bytes(sum(memoryview(image.code).nbytes for image in images))}",
    ]
    parts += [f"{key:<8} {value}" for key, value in artifact.metadata.items()]
    return "\n\n".join(["\n".join(parts), *map(_describe_function, program.signatures.values())])


def _describe_function(function: Function) -> str:
    signature, segments = function.signature, function.executor.segments
    header = {"step": RIGHT, "device": LEFT, "MFLOP": RIGHT, "KB": RIGHT, "kernel": LEFT, "dispatch": LEFT}
    steps = [(device, step) for device, segment in segments for step in segment.steps]
    rows = [
        (str(number), device, f"{step.flops / 1e6:.2f}", f"{step.bytes / 1e3:.1f}", step.kernel, step.description)
        for number, (device, step) in enumerate(steps)
    ]
    kernels = len({(device, step.kernel) for device, step in steps})
    arena = max((segment.arena_bytes for _, segment in segments), default=0)
    computed = any(segment.arena_bytes < 0 for _, segment in segments)
    scratch = max((segment.scratch_bytes for _, segment in segments), default=0)
    return "\n".join(
        [
            f"signature {signature.name}",
            *(f"  input   {tensor}" for tensor in signature.inputs),
            *(f"  output  {tensor}" for tensor in signature.outputs),
            f"  {len(rows)} dispatches of {kernels} kernels, {sum(step.flops for _, step in steps) / 1e6:.1f} MFLOP",
            f"  memory  {'by the inputs' if computed else _bytes(arena)} arena, {_bytes(scratch)} scratch per thread",
            format_table(header, rows),
        ]
    )


def describe_timing(function: Function, timing: Timing, threads: int) -> str:
    """One line with the percentiles and the rate they mean."""
    steps = [step for _, segment in function.executor.segments for step in segment.steps]
    rate = sum(step.flops for step in steps) / timing.median / 1e9
    times = ", ".join(
        f"{name} {seconds * 1e3:.3f} ms"
        for name, seconds in (("median", timing.median), ("p10", timing.p10), ("p90", timing.p90))
    )
    return f"{times} over {timing.runs} runs on {threads} threads ({rate:.1f} GFLOP/s)"


def describe_profile(profile: Profile, peaks: Mapping[str, float]) -> str:
    """Per dispatch: time, share, rate, and the part of the measured peak (of one core, by dtype) of all threads."""
    durations = [step.duration() for step in profile.steps]
    total = sum(durations)
    header = {"step": RIGHT, "us": RIGHT, "%": RIGHT, "GFLOP/s": RIGHT, "% peak": RIGHT, "GB/s": RIGHT}
    header |= {"device": LEFT, "dispatch": LEFT}
    rows = []
    for number, (row, duration) in enumerate(zip(profile.steps, durations, strict=True)):
        step = row.step
        rate = step.flops / max(duration, 1e-9)
        peak = peaks.get(step.dtype, 0.0) * row.threads
        rows.append(
            (
                str(number),
                f"{duration * 1e6:.1f}",
                f"{100 * duration / max(total, 1e-12):.1f}",
                f"{rate / 1e9:.1f}",
                f"{100 * rate / peak:.1f}" if peak else "-",
                f"{step.bytes / max(duration, 1e-9) / 1e9:.1f}",
                row.device,
                step.description,
            )
        )
    measured = ", ".join(f"{dtype} {peak / 1e9:.0f} GFLOP/s" for dtype, peak in peaks.items()) or "none"
    summary = (
        f"{len(rows)} dispatches, {total * 1e3:.3f} ms of the {profile.seconds() * 1e3:.3f} ms of a run; "
        f"measured peak of one core: {measured}"
    )
    return f"{format_table(header, rows)}\n{summary}"


def save_trace(profile: Profile, path: Path) -> None:
    """Write the profile in the Trace Event Format, which chrome://tracing and Perfetto read. Raises OSError.

    A device is a process, its threads are threads.
    """
    devices = {name: number for number, name in enumerate(dict.fromkeys(row.device for row in profile.steps))}
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": number, "name": "process_name", "args": {"name": f"device {name}"}}
        for name, number in devices.items()
    ]
    for number, row in enumerate(profile.steps):
        step = row.step
        for run, executions in enumerate(row.seconds):
            arguments = {"run": run, "step": number, "kernel": step.kernel, "flops": step.flops, "bytes": step.bytes}
            events += [
                {
                    "ph": "X",
                    "pid": devices[row.device],
                    "tid": thread,
                    "name": step.description,
                    "ts": begin * 1e6,
                    "dur": (end - begin) * 1e6,
                    "args": arguments,
                }
                for threads in executions.tolist()
                for thread, (begin, end) in enumerate(threads)
            ]
    with atomic_write(path) as stream:
        stream.write(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}).encode())


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} KB"
