"""One command, one table: `make bench`, or `python -m benchmarks [NAME …]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from benchmarks.dependence import list_dependence
from benchmarks.gate import gate_promise
from benchmarks.grading import grading_speed
from benchmarks.pilot import demo_pilot
from benchmarks.replay import replay_of_records
from benchmarks.start import cold_start
from benchmarks.terminal import over_ssh

BENCHMARKS: dict[str, Callable[[], list[tuple[str, str, str]]]] = {
    "start": cold_start,
    "replay": replay_of_records,
    "grading": grading_speed,
    "pilot": demo_pilot,
    "gate": gate_promise,
    "dependence": list_dependence,
    "terminal": over_ssh,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = sorted({*names} - {*BENCHMARKS})
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    rows = [("figure", "measured", "aim"), *(row for name in names for row in BENCHMARKS[name]())]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
