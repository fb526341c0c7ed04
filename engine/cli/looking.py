"""Commands that look: what is going on, how good it is, what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.arguments import MOST, CampaignArgument, Json, RunArgument, service_here
from engine.cli.console import CommandEnd, say, say_json
from engine.cli.following import wait_for
from engine.errors import EXIT_DONE, EXIT_GATE_FAIL, EXIT_GATE_UNDECIDED

GATE_EXIT = {"pass": EXIT_DONE, "fail": EXIT_GATE_FAIL, "undecided": EXIT_GATE_UNDECIDED}

commands = typer.Typer()


@commands.command()
def status(
    campaign: Annotated[str | None, typer.Argument(metavar="[CAMPAIGN]", help="only this one")] = None,
    as_json: Json = False,
) -> None:
    """Campaigns, runs, states, metrics, verdicts, money."""
    from engine.report.tables import status_text

    service = service_here(tend=True)
    snapshot = service.poll(only=campaign)
    if campaign is not None and not snapshot.campaigns:
        service.workspace.campaign_file(campaign)  # says that there is none, and which there are
    if as_json:
        say_json(snapshot.to_json())
    else:
        say(status_text(snapshot))


@commands.command()
def watch(run_id: RunArgument) -> None:
    """Plain lines as things happen, until the run ends (exit 5 if it failed)."""
    wait_for(service_here(tend=True), run_id, quietly=False)


@commands.command()
def logs(
    run_id: RunArgument,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="go on as the log grows, until the run ends")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=MOST, help="how many lines from the end")] = 40,
    grep: Annotated[str | None, typer.Option("--grep", metavar="RE", help="only lines that match")] = None,
) -> None:
    """The run's log, sanitised. With --grep, the lines among the last N that match."""
    from engine.logs.tail import LogTail, follow, matching

    service = service_here()
    log = service.workspace.existing_run(run_id).log
    keep = matching(grep)
    if not following:
        for line in filter(keep, LogTail(log).last(lines)):
            say(line)
        return
    for line in follow(log, lines=lines, stop=lambda: not service.is_live(run_id), keep=keep):
        say(line)


@commands.command()
def gate(
    run_id: RunArgument,
    as_json: Json = False,
    qc: Annotated[
        Path | None, typer.Option("--qc", metavar="FILE", help="YAML with qc: and gate: to judge by instead")
    ] = None,
) -> None:
    """The gate's verdict: exit 0 pass, 10 fail, 11 undecided."""
    from engine.report.gate import gate_text, regrade

    service = service_here()
    verdict = regrade(service.workspace.existing_run(run_id), qc) if qc else service.look_at_run(run_id).gate
    if as_json:
        say_json(verdict.to_json())
    else:
        say(gate_text(verdict))
    raise CommandEnd(GATE_EXIT[verdict.verdict])


@commands.command()
def samples(
    run_id: RunArgument,
    *,
    flag: Annotated[
        str | None, typer.Option("--flag", metavar="NAME", help="only what this detector flags, e.g. runaway")
    ] = None,
    kept: Annotated[bool | None, typer.Option("--kept/--rejected", help="only kept, or only rejected records")] = None,
    most: Annotated[int, typer.Option("--count", "-n", min=0, max=MOST, help="how many records, in item order")] = 20,
    qc: Annotated[Path | None, typer.Option("--qc", metavar="FILE", help="YAML with qc: to flag by instead")] = None,
    as_json: Json = False,
) -> None:
    """Records with what flags them, and where."""
    from engine.report.samples import Wanted, find_samples, samples_text

    files = service_here().workspace.existing_run(run_id)
    found = find_samples(files, Wanted(kept, flag), most=most, ruler=qc)
    if as_json:
        say_json(found.to_json())
    else:
        say(samples_text(found))


@commands.command()
def compare(
    campaign: CampaignArgument,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="a Markdown table")] = False,
) -> None:
    """Runs side by side: metrics, parameters that differ, cost."""
    from engine.report.tables import comparison_json, comparison_rows, markdown_table, text_table

    picture = service_here().look(campaign)
    if as_json:
        say_json(comparison_json(picture))
    else:
        say((markdown_table if markdown else text_table)(*comparison_rows(picture)))


@commands.command()
def budget(campaign: CampaignArgument, as_json: Json = False) -> None:
    """What was spent, is committed, is left, and what the next action would cost."""
    from engine.report.budget import budget_json, budget_text

    picture = service_here().look(campaign)
    if as_json:
        say_json(budget_json(picture))
    else:
        say(budget_text(picture))


@commands.command()
def idle(
    campaign: CampaignArgument,
    cancel: Annotated[bool, typer.Option("--cancel", help="keep the machine: end the countdown")] = False,
    as_json: Json = False,
) -> None:
    """The countdown to `budget.on_idle`, which stops an idle machine; --cancel ends it (exit 4 if there is none)."""
    from engine.report.tables import idle_text, no_idle_text

    service = service_here()
    picture = None if cancel else service.look(campaign)
    countdown = picture.idle if picture else service.cancel_idle(campaign)
    if as_json:
        say_json(countdown.to_json() if countdown else None)
    elif countdown:
        say(idle_text(campaign, countdown))
    elif picture:
        say(no_idle_text(picture))
