"""Commands that look at samples and grade runs again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.arguments import MOST, Json, RunArgument, service_here
from engine.cli.console import CommandEnd, paper_width, say, say_json
from engine.cli.looking import GATE_EXIT
from engine.errors import ConfigurationError

_MARK = re.compile(r"#?([0-9]{1,15})=(true|false)")

commands = typer.Typer()


@commands.command()
def regrade(
    run_id: RunArgument,
    qc: Annotated[Path, typer.Option("--qc", metavar="FILE", help="YAML with qc: and gate: to grade by")],
    save: Annotated[bool, typer.Option("--save", help="judge the run by that from now on; counts as a try")] = False,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="with --save: why")] = None,
    as_json: Json = False,
) -> None:
    """A run graded again by other detectors or limits, nothing generated: exit 0 pass, 10 fail, 11 undecided."""
    from engine.report.regrade import regrade_text

    reason = reason.strip() if reason is not None else None
    if save and not reason:
        raise ConfigurationError(
            "--save says nothing of why the run is to be judged by another ruler", remedy="add --reason TEXT"
        )
    if reason is not None and not save:
        raise ConfigurationError("--reason is recorded with a grading, and none is saved", remedy="add --save")
    graded = service_here().regrade(run_id, qc, reason=reason)
    if as_json:
        say_json(graded.to_json())
    else:
        say(regrade_text(graded, paper_width()))
    raise CommandEnd(GATE_EXIT[graded.new.verdict])


@commands.command()
def samples(
    run_id: RunArgument,
    *,
    flag: Annotated[
        str | None, typer.Option("--flag", metavar="NAME", help="only what this detector flags, e.g. runaway")
    ] = None,
    kept: Annotated[bool | None, typer.Option("--kept/--rejected", help="only kept, or only rejected records")] = None,
    marked: Annotated[
        bool | None, typer.Option("--marked/--unmarked", help="only flags that were marked, or only the others")
    ] = None,
    mark: Annotated[
        list[str] | None,
        typer.Option(
            "--mark", metavar="INDEX=BOOL", help="with --flag: true, the flag is right; false, it is a false alarm"
        ),
    ] = None,
    most: Annotated[int, typer.Option("--count", "-n", min=0, max=MOST, help="how many records, in item order")] = 20,
    qc: Annotated[Path | None, typer.Option("--qc", metavar="FILE", help="YAML with qc: to flag by instead")] = None,
    as_json: Json = False,
) -> None:
    """Records with what flags them, and where; with --mark, says whether what a detector flags is rightly flagged."""
    from engine.report.samples import Wanted, samples_text

    service = service_here()
    if mark:
        if flag is None or qc is not None:
            raise ConfigurationError(
                "--mark says of a flag of the run's own detector whether it is right",
                remedy="name the detector with --flag, and leave --qc out",
            )
        sentence = service.mark(run_id, flag, _marks(mark))
        if not as_json:
            say(sentence)
            return
    found = service.samples(run_id, Wanted(kept, flag, marked), most, qc)
    if as_json:
        say_json(found.to_json())
    else:
        say(samples_text(found))


def _marks(texts: list[str]) -> dict[int, bool]:
    marks: dict[int, bool] = {}
    for text in texts:
        match = _MARK.fullmatch(text)
        if match is None:
            raise ConfigurationError(
                f"--mark {text!r} is no mark",
                remedy="write INDEX=true for a right flag, INDEX=false for a false alarm",
            )
        index, right = int(match[1]), match[2] == "true"
        if marks.setdefault(index, right) != right:
            raise ConfigurationError(
                f"--mark says of record {index} both true and false", remedy="leave one of them out: nothing was marked"
            )
    return marks
