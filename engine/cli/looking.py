"""Commands that look: what is going on, how good it is, what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.arguments import MOST, CampaignArgument, Json, RunArgument, service_here
from engine.cli.console import CommandEnd, paper_width, say, say_json
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
        say(status_text(snapshot, paper_width()))


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
    trace: Annotated[bool, typer.Option("--trace", help="its evidence growing with the samples, drawn")] = False,
) -> None:
    """The gate's verdict: exit 0 pass, 10 fail, 11 undecided."""
    from engine.report.gate import gate_text
    from engine.report.samples import suspect_text
    from engine.report.tables import wrapped

    service = service_here()
    files = service.workspace.existing_run(run_id)
    run = service.look_at_run(run_id)
    graded = service.regrade(run_id, qc) if qc else None
    verdict, warnings = (graded.new, graded.warnings) if graded else (run.gate, run.warnings)
    if trace:
        from engine.report.evidence import evidence_text, trace_run

        evidence = trace_run(files, verdict, qc)
        if as_json:
            say_json(evidence.to_json())
        else:
            say(evidence_text(evidence))
    elif as_json:
        say_json(verdict.to_json() | {"warnings": list(warnings)})
    else:
        say(gate_text(verdict, () if qc else run.gradings, paper_width()))
        for detector in verdict.detectors if not qc else ():
            if detector.suspect:
                say(suspect_text(files, detector, paper_width()))
    if not as_json:
        for warning in warnings:
            say(wrapped(f"warning: {warning}", paper_width()))
    raise CommandEnd(GATE_EXIT[verdict.verdict])


@commands.command()
def compare(
    campaign: CampaignArgument,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="a Markdown table")] = False,
) -> None:
    """Runs side by side: metrics, what is proven better or worse, parameters and prompts that differ, cost."""
    from engine.report.comparison import comparison_json, comparison_markdown, comparison_text

    picture = service_here().look(campaign)
    if as_json:
        say_json(comparison_json(picture))
    else:
        say(comparison_markdown(picture) if markdown else comparison_text(picture, paper_width()))


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
