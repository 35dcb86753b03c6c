"""Speed on an NVIDIA GPU beside cuBLAS and torch.compile, from artifacts that may be compiled elsewhere.

python -m benchmarks.cuda compile --zoo FOLDER             on any machine: writes artifacts to build/benchmarks/cuda
python -m benchmarks.cuda run --python torch=bin/python    where the GPU is: writes cuda.json and cuda.txt there
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from .cases import Case, cases
from .compiling import MANIFEST, compile_cases
from .measuring import measure
from .table import make_table, missed

FOLDER = Path("build/benchmarks/cuda")
_PEER_SECONDS = 240
"""torch.compile tunes four models; the whole run stays below eight minutes."""

app = typer.Typer(add_completion=False, help=__doc__)

Folder = Annotated[Path, typer.Option(help="Of artifacts and figures.")]
Tiny = Annotated[bool, typer.Option("--tiny", help="Small sizes, to see without a GPU that it works.")]


@app.command("compile")
def compile_command(
    folder: Folder = FOLDER,
    zoo: Annotated[Path | None, typer.Option(help="The folder of the .tflite models.")] = None,
    device: Annotated[str, typer.Option(help="What to compile for.")] = "cuda@sm_90a",
    tiny: Tiny = False,
) -> None:
    """Compile all cases, on a machine with or without a GPU."""
    manifest = compile_cases(cases(tiny), folder, zoo, device)
    for name, record in manifest["cases"].items():
        print(f"{name}: {record['refused'] if 'refused' in record else format(record['compile'], '.1f') + ' s'}")


@app.command("run")
def run_command(
    folder: Folder = FOLDER,
    device: Annotated[str | None, typer.Option(help="Another GPU than the first, such as cuda:1.")] = None,
    python: Annotated[
        str, typer.Option(help="The interpreter that has torch: torch=PATH.")
    ] = f"torch={sys.executable}",
    seconds: Annotated[float, typer.Option(help="For each case.")] = 2.0,
    tiny: Tiny = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where a goal is missed.")] = False,
) -> None:
    """Measure all cases and the peers; write one JSON and one table."""
    chosen = cases(tiny)
    manifest = json.loads((folder / MANIFEST).read_text())
    measured: dict[str, Any] = {}
    for case in chosen:
        known = manifest["cases"].get(case.name, {"refused": "not compiled"})
        measured[case.name] = known if "refused" in known else {**known, **measure(case, folder, device, seconds)}
    figures = {"device": device or manifest["device"], "cases": measured, "torch": _torch(chosen, python)}
    table = make_table(chosen, figures)
    (folder / "cuda.json").write_text(json.dumps(figures, indent=1) + "\n")
    (folder / "cuda.txt").write_text(table + "\n")
    print(table)
    problems = missed(chosen, figures)
    print("\n".join(problems))
    if check and problems:
        raise typer.Exit(1)


def _torch(chosen: list[Case], python: str) -> dict[str, Any]:
    """The records of torch, or why there are none."""
    wanted = [asdict(case) for case in chosen if case.kind != "call"]
    command = [python.removeprefix("torch="), "-m", "benchmarks.cuda.torch_peer"]
    try:
        done = subprocess.run(
            command, input=json.dumps(wanted), capture_output=True, text=True, timeout=_PEER_SECONDS, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        return {case["name"]: {"missing": f"torch: {type(error).__name__}"} for case in wanted}


if __name__ == "__main__":
    app()
