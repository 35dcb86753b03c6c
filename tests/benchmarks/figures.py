"""Made-up figures, as a run of the benchmarks would leave them."""

from __future__ import annotations

from typing import Any


def engine(one: float, two: float, error: float = 0.0, **more: Any) -> dict[str, Any]:
    """What is known of an engine: seconds on one and on two threads."""
    return {"times": {"1": one, "2": two}, "error": error, "load": 0.01, "rss": 10**7, "version": "1.0", **more}


def model(kind: str, twin: str | None = None, **engines: dict[str, Any]) -> dict[str, Any]:
    """The record of a model."""
    return {
        "class": kind,
        "twin": twin,
        "date": "2026-01-02",
        "engines": engines,
        "compile": {"cold": 2.0, "cached": 0.3, "iree": 4.0},
        "size": {"artifact": 100, "tflite": 100},
        "exact": True,
        "dispatches": [
            {"seconds": 3e-4, "limit": 2.7e-4, "bound": "arithmetic", "description": "matmul 8x16 f32, k 4"},
            {"seconds": 1e-4, "limit": 2e-5, "bound": "L2", "description": "depthwise 3x3/2 1x8x8x4x1 f32"},
        ],
    }


def figures() -> dict[str, Any]:
    """A small zoo that meets every goal that it has but one."""
    first = model(
        "f32",
        tosaic=engine(0.8, 0.4),
        tosaic_bf16=engine(0.4, 0.2, 0.01),
        litert=engine(1.0, 0.6),
        openvino=engine(0.5, 0.3, error=0.2),
        openvino_bf16=engine(0.5, 0.25, 0.01),
        iree={"refused": "crashes"},
    )
    second = model("f32", tosaic=engine(0.2, 0.1), litert=engine(0.4, 0.2))
    quantized = model(
        "int8", "first_f32", tosaic=engine(0.3, 0.2), litert=engine(0.5, 0.4), openvino_bf16=engine(0.6, 0.1)
    )
    refused = {"class": "f32", "refused": "?"}
    return {
        "models": {"first_f32": first, "first_int8": quantized, "second_f32": second, "odd": refused},
        "machine": {
            "processor": "a processor",
            "peaks": {"float32": 1e11},
            "levels": [{"name": "L1", "capacity": 32768, "rate": 2e11}],
        },
        "calls": {"engines": {"tosaic": engine(3e-6, 4e-6), "litert": engine(7e-6, 8e-6)}},
        "batches": {"rates": {"tosaic": {"1": 90.0, "4": 120.0}, "litert": {"1": 100.0}, "openvino": {"4": 80.0}}},
    }
