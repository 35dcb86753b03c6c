"""cuBLAS and torch.compile on the same GPU, through torch: a process of its own that reads cases and prints records.

It imports nothing of Tosaic, so that any interpreter with torch will do:
python -m benchmarks.cuda.torch_peer < cases.json, where each case has name, kind, dtype, size and model.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

_TYPES = {"f16": "float16", "bf16": "bfloat16", "tf32": "float32", "int8": "int8"}


def main() -> None:
    """Print one record for each case: "gpu" and "call" in seconds, or "missing" and why."""
    cases = json.load(sys.stdin)
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        print(json.dumps({case["name"]: {"missing": "torch is not installed"} for case in cases}))
        return
    if not torch.cuda.is_available():
        print(json.dumps({case["name"]: {"missing": "torch finds no GPU"} for case in cases}))
        return
    torch.backends.cuda.matmul.allow_tf32 = True
    records = {case["name"]: _record(torch, case) for case in cases}
    print(json.dumps(records | {"": {"version": torch.__version__, "gpu": torch.cuda.get_device_name()}}))


def _record(torch: Any, case: dict[str, Any]) -> dict[str, Any]:
    try:
        work, call = _product(torch, case) if case["kind"] == "product" else _model(torch, case)
        return {"gpu": _events(torch, work), "call": _clock(torch, call)}
    except Exception as error:  # whatever a peer lacks or does is its record
        return {"missing": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}


Pair = tuple[Callable[[], Any], Callable[[], Any]]


def _product(torch: Any, case: dict[str, Any]) -> Pair:
    side, dtype = case["size"], getattr(torch, _TYPES[case["dtype"]])
    if case["dtype"] == "int8":
        hosts = [torch.randint(-128, 127, (side, side), dtype=dtype) for _ in range(2)]
        multiply = torch._int_mm
    else:
        hosts = [torch.randn(side, side).to(dtype) for _ in range(2)]
        multiply = torch.mm
    a, b = (each.cuda() for each in hosts)
    return lambda: multiply(a, b), lambda: multiply(*(each.cuda() for each in hosts)).cpu()


def _model(torch: Any, case: dict[str, Any]) -> Pair:
    batch = case["size"]
    if str(case["model"]).startswith("resnet50"):
        from torchvision.models import resnet50  # pyright: ignore[reportMissingImports]

        network, hosts = resnet50(), [torch.randn(batch, 3, 224, 224, dtype=torch.bfloat16)]
    elif str(case["model"]).startswith("bert_base"):
        from transformers import BertConfig, BertModel  # pyright: ignore[reportMissingImports]

        network, hosts = BertModel(BertConfig()), [torch.randint(0, 30000, (batch, 128))]
    else:
        raise NotImplementedError(f"torch has no {case['model']}")
    network = torch.compile(network.eval().cuda().to(torch.bfloat16), mode="max-autotune")
    inputs = [each.cuda() for each in hosts]

    def run(tensors: list[Any]) -> Any:
        with torch.inference_mode():
            result = network(*tensors)
        return result if torch.is_tensor(result) else result.last_hidden_state

    return lambda: run(inputs), lambda: run([each.cuda() for each in hosts]).cpu()


def _events(torch: Any, work: Callable[[], Any]) -> float:
    """The least GPU time of a run, by events, of 30 after 5 that do not count."""
    times = []
    for number in range(35):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        if number >= 5:
            times.append(1e-3 * begin.elapsed_time(end))
    return min(times)


def _clock(torch: Any, call: Callable[[], Any]) -> float:
    times = []
    for _ in range(10):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


if __name__ == "__main__":
    main()
