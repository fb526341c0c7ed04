"""Command lines and environments of what is started: keeper, generator, policy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engine.campaign.spec import RunSpec
from engine.files import RunFiles
from engine.supervise.census import FOLDER_MARK, KEEP_ENVIRONMENT, MARKS, RUN_MARK

PACKAGE_HOME = Path(__file__).resolve().parents[2]


def workspace_root(files: RunFiles, spec: RunSpec) -> Path:
    """The folder that holds `configs/`: the one above `artifacts/`, wherever it was moved, copied or mounted since.

    Only a run's folder that lies elsewhere has to rely on what its spec says.
    """
    parents = files.folder.resolve().parents
    if len(parents) > 2 and parents[1].name == "artifacts":
        return parents[2]
    return Path(spec.workspace).resolve() if spec.workspace else parents[min(2, len(parents) - 1)]


def python_module(module: str, folder: Path | None = None) -> list[str]:
    """`python -m module`, to be started in `folder`, which must not hide our modules or the library's behind its own.

    A campaign's folder may well hold an `engine/` or a `random.py`, so it is kept off the import path (`-P`), unless
    it is the source tree itself.
    """
    own = folder is not None and folder.resolve() == PACKAGE_HOME
    return [sys.executable, *([] if own else ["-P"]), "-m", module]


def marked_environment(files: RunFiles, run_id: str) -> dict[str, str]:
    """This process's environment with the marks that every process of the run carries."""
    return os.environ | {RUN_MARK: run_id, FOLDER_MARK: str(files.folder.resolve()), KEEP_ENVIRONMENT: "1"}


def aftermath_mark(run_id: str) -> str:
    """The mark of the process that sees to what comes after a run, which is not the run's own any more."""
    return f"aftermath of {run_id}"


def unmarked_environment() -> dict[str, str]:
    """This process's environment without any run's marks, for what outlives the run."""
    return {key: value for key, value in os.environ.items() if key not in MARKS}


def generator_environment(files: RunFiles, run_id: str, gpus: tuple[str, ...]) -> dict[str, str]:
    """Marked, unbuffered (so that the log is read as it happens), and seeing only the GPUs in `gpus`, if any."""
    environment = marked_environment(files, run_id) | {"PYTHONUNBUFFERED": "1"}
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return environment


def engine_argv(files: RunFiles, spec: RunSpec, socket: Path) -> list[str]:
    """The command line that downloads the model of a kept engine where it must, and becomes its server."""
    folder = files.folder.resolve()
    argv = python_module("engine.generate.serve", workspace_root(files, spec))
    return [*argv, "--spec", str(folder / files.spec.name), "--socket", str(socket)]


def generator_argv(
    files: RunFiles, spec: RunSpec, attempt: int, *, examples: int | None, max_candidates: int | None, engine: str = ""
) -> list[str]:
    """The generator's command line. `examples` and `max_candidates` are given when the run was extended, `engine` when
    it attaches to a kept one.

    A foreign program's arguments may hold `{output_dir}` (the run's folder), `{count}` and `{seed}`.
    """
    folder = files.folder.resolve()
    if spec.generator.kind == "builtin":
        argv = python_module("engine.generate", workspace_root(files, spec))
        argv += ["--spec", str(folder / files.spec.name), "--attempt", str(attempt)]
        if examples is not None:
            argv += ["--count", str(examples)]
        if max_candidates is not None:
            argv += ["--max-candidates", str(max_candidates)]
        if engine:
            argv += ["--engine", engine]
        return argv
    values = {
        "{output_dir}": str(folder),
        "{count}": str(examples if examples is not None else spec.target.examples),
        "{seed}": str(spec.parameters.seed),
    }
    return [_filled(argument, values) for argument in spec.generator.argv]


def _filled(argument: str, values: dict[str, str]) -> str:
    for placeholder, value in values.items():
        argument = argument.replace(placeholder, value)
    return argument
