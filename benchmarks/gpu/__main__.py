"""`python -m benchmarks.gpu PART --model FOLDER --out FILE`; `python -m benchmarks.gpu table FILE`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.gpu.table import table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    for name, help_text in (
        ("throughput", "the pipeline in process against bare LLM.generate"),
        ("starts", "launch to verdict: cold, warm cache, warm engine; then the pipeline through that engine"),
        ("server", "the pipeline through an engine started for it"),
        ("one-by-one", "transformers, item by item"),
    ):
        part = parts.add_parser(name, help=help_text)
        part.add_argument("--model", required=True, help="a model folder of random weights, or `pocket`")
        part.add_argument("--out", type=Path, required=True, help="JSON lines are appended to it")
        part.add_argument("--sizes", default="100,1000", help="examples, comma separated")
        part.add_argument("--bare", default="1000", help="of these, which are also done bare")
        part.add_argument("--work", type=Path, default=Path("gpu-bench"), help="folder of the workspaces")
        part.add_argument("--option", action="append", default=[], metavar="KEY=JSON", help="an engine option")
    shown = parts.add_parser("table", help="print results as Markdown")
    shown.add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    if given.part == "table":
        rows = [json.loads(line) for file in given.files for line in file.read_text().splitlines()]
        sys.stdout.write(table(rows) + "\n")
        return 0
    measure(given)
    return 0


def measure(given: argparse.Namespace) -> None:
    options = {key: json.loads(value) for key, _, value in (one.partition("=") for one in given.option)}
    sizes = [int(size) for size in given.sizes.split(",") if size]

    def out(row: dict[str, Any]) -> None:
        with given.out.open("a") as stream:
            stream.write(json.dumps(row) + "\n")
        sys.stdout.write(f"RESULT {json.dumps(row)}\n")
        sys.stdout.flush()

    if given.part == "throughput":
        from benchmarks.gpu.throughput import in_process

        in_process(given.model, sizes, [int(size) for size in given.bare.split(",") if size], options, out)
    elif given.part == "one-by-one":
        from benchmarks.gpu.one_by_one import one_by_one

        one_by_one(given.model, out)
    else:
        from benchmarks.gpu.starts import Place, start_engine, starts, stop_engine
        from benchmarks.gpu.throughput import model_of, through_server

        root = (given.work / Path(given.model).name).resolve()
        all_options = model_of(given.model, options).options
        if given.part == "starts":
            place = starts(given.model, all_options, root, out)
            engine = place.status()["engine"]
            record = json.loads((root / "artifacts" / "bench" / engine["name"] / "engine.json").read_text())
            socket = record["socket"]
        else:
            place = Place(root, given.model, all_options)
            socket = start_engine(place, given.model, out)
        through_server(given.model, Path(socket), sizes, options, out)
        stop_engine(place, given.model, out)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # vLLM's threads are not waited for
