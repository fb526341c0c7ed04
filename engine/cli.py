"""The command line: everything the screen can do, without a screen.

Heavy modules are imported inside the commands that need them, so that `--help` and `status` answer at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from engine import __version__
from engine.cli_engine import engine_app
from engine.console import CommandEnd, complain, consent, forecast_text, make_streams_safe, note, say, say_json
from engine.errors import (
    EXIT_DONE,
    EXIT_GATE_FAIL,
    EXIT_GATE_UNDECIDED,
    EXIT_INTERRUPTED,
    EXIT_RUN_FAILED,
    EXIT_USAGE,
    ConfigurationError,
    PilothouseError,
)
from engine.files import storage_error
from engine.following import follow_campaign, wait_for
from engine.service import Service

OpenDashboard = Callable[[Path, str | None], int]

USAGE_ERROR: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
"""Base of the errors that the argument parser raises; typer carries that parser inside, without a public name."""

MOST = 10**9
GATE_EXIT = {"pass": EXIT_DONE, "fail": EXIT_GATE_FAIL, "undecided": EXIT_GATE_UNDECIDED}

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="Run supervisor for gated LLM data generation. Without a command: the dashboard on ./configs.",
)
config_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Check campaign files; print their schema.")
app.add_typer(config_app, name="config")
app.add_typer(engine_app, name="engine")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="campaign/run, e.g. demo/pilot")]
CampaignArgument = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="name of a file in configs/, without .yaml")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]


def run(argv: Sequence[str], open_dashboard: OpenDashboard | None = None) -> int:
    """Run one command; returns its exit code. `open_dashboard` opens the screen, for the commands that end in it."""
    command = typer.main.get_command(app)
    make_streams_safe()
    try:
        command.main(list(argv), prog_name="pilothouse", standalone_mode=False, obj=open_dashboard)
    except CommandEnd as end:
        return end.code
    except PilothouseError as error:
        complain(str(error))
        return error.exit_code
    except typer.Exit as end:
        return end.exit_code
    except USAGE_ERROR as error:
        named = [argv[0]] if argv and argv[0] in getattr(command, "commands", ()) else []
        complain(f"{_usage_message(error)}\n  to do: see `{' '.join(['pilothouse', *named, '--help'])}`")
        return EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted; runs go on, `pilothouse status` shows them")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) went away: nothing is wrong, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except OSError as error:
        wrapped = storage_error(error, error.filename or "")
        complain(str(wrapped))
        return wrapped.exit_code
    return EXIT_DONE


def _usage_message(error: Exception) -> str:
    return str(error.format_message()) if hasattr(error, "format_message") else str(error)


def _service(*, tend: bool = False) -> Service:
    return Service(Path.cwd(), tend=tend)


# --- starting and stopping ----------------------------------------------------------------------------------------


@app.command()
def demo(
    context: typer.Context,
    headless: Annotated[bool, typer.Option("--headless", help="plain lines instead of the dashboard")] = False,
    folder: Annotated[Path, typer.Option("--dir", help="where the demo lives")] = Path("pilothouse-demo"),
) -> None:
    """Take a demo campaign from pilot to scale on the model that ships with Pilothouse."""
    from engine.demo import CAMPAIGN, set_up
    from engine.report.tables import comparison_rows, text_table

    service = Service(set_up(folder).root, tend=True)
    picture = service.look(CAMPAIGN)
    if not picture.runs:
        service.launch(CAMPAIGN)
    elif picture.state == "done":
        note(f"this demo has been through; to see it again: rm -r {shlex.quote(str(folder))}, or --dir another folder")
    if not headless:
        open_dashboard: OpenDashboard | None = context.obj
        if open_dashboard is None:
            raise ConfigurationError(
                "the dashboard is not available from here", remedy="use `pilothouse demo --headless`"
            )
        raise CommandEnd(open_dashboard(service.root, CAMPAIGN))
    say(f"the demo lives in {service.root}; its runs go on if this is interrupted")
    picture = follow_campaign(service, CAMPAIGN)
    say("")
    say(text_table(*comparison_rows(picture)))
    say("")
    say(f"next: {picture.next.kind}: {picture.next.reason}" if picture.next else "")
    if picture.state != "done":
        raise CommandEnd(EXIT_RUN_FAILED)


@app.command()
def launch(
    campaign: CampaignArgument,
    name: Annotated[
        str | None, typer.Option("--run", metavar="NAME", help="pilot, iteration-N, scale, or your own")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="e.g. response.temperature=0.25")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="wait for its end; exit 5 if it fails")] = False,
    yes: Yes = False,
) -> None:
    """Start a run, detached, and print its id."""
    service = _service(tend=True)
    plan = service.plan_launch(campaign, name, assignments or [])
    forecast = forecast_text(plan.forecast.cost_usd, plan.forecast.duration_s, plan.forecast.basis)
    engine = f", {plan.engine.sentence}" if plan.engine.sentence else ""
    consent(f"launch {campaign}/{plan.run} for {plan.target.examples} examples, {forecast}{engine}?", yes=yes)
    run_id = service.launch(campaign, plan.run, assignments or [], say=note)
    say(run_id)
    if wait:
        wait_for(service, run_id, quietly=True)


@app.command()
def stop(
    run_id: RunArgument,
    now: Annotated[bool, typer.Option("--now", help="without the grace that lets it finish what is in flight")] = False,
) -> None:
    """Stop a run; returns when it is verified that nothing of it lives any more."""
    state = _service().stop(run_id, now=now, on_progress=lambda line: note(f"{run_id}: {line}"))
    say(f"{run_id}: {state}")


@app.command()
def restart(
    run_id: RunArgument,
    fresh: Annotated[bool, typer.Option("--fresh", help="archive what it made and begin anew")] = False,
    yes: Yes = False,
) -> None:
    """Go on with a run that was stopped, failed or was lost; every finished record is kept."""
    service = _service()
    cost = service.forecast_restart(run_id)
    what = "begin anew with" if fresh else "go on with"
    consent(f"{what} {run_id}, {forecast_text(cost)}?", yes=yes)
    say(service.restart(run_id, fresh=fresh))


@app.command()
def extend(
    run_id: RunArgument,
    examples: Annotated[int, typer.Option("--examples", min=1, max=MOST, help="the new target of kept pairs")],
    yes: Annotated[bool, typer.Option("--yes", "-y", hidden=True)] = False,
) -> None:
    """The same parameters, more samples: raise the target of an ended run and go on in it."""
    del yes  # naming the number is consent; accepted so that scripts may pass it everywhere
    say(_service().extend(run_id, examples))


@app.command("next")
def next_action(
    campaign: CampaignArgument,
    as_json: Json = False,
    do: Annotated[bool, typer.Option("--do", help="carry it out")] = False,
    yes: Yes = False,
) -> None:
    """What comes next, why, its exact command and forecast cost; with --do, does it."""
    service = _service()
    picture = service.look(campaign)
    action = picture.next
    assert action is not None
    if as_json:
        say_json(action.to_json())
    else:
        say(f"{action.kind}: {action.reason}")
        for key, why in action.why.items():
            before, after = action.changes.get(key, (None, None))
            say(f"  {key}: {before} → {after}, {why}")
        if action.command:
            say(f"  {action.command}")
            say(f"  {forecast_text(action.cost_usd, action.duration_s, action.basis)}")
    if do:
        if action.argv is not None:
            consent(f"{action.command}, {forecast_text(action.cost_usd, action.duration_s, action.basis)}?", yes=yes)
        done = service.do_next(campaign)
        note(f"started: {campaign}/{done.run}")


# --- looking ----------------------------------------------------------------------------------------------------


@app.command()
def status(
    campaign: Annotated[str | None, typer.Argument(metavar="[CAMPAIGN]", help="only this one")] = None,
    as_json: Json = False,
) -> None:
    """Campaigns, runs, states, metrics, verdicts, money."""
    from engine.report.tables import status_text

    service = _service(tend=True)
    snapshot = service.poll(only=campaign)
    if campaign is not None and not snapshot.campaigns:
        service.workspace.campaign_file(campaign)  # says that there is none, and which there are
    if as_json:
        say_json(snapshot.to_json())
    else:
        say(status_text(snapshot))


@app.command()
def watch(run_id: RunArgument) -> None:
    """Plain lines as things happen, until the run ends (exit 5 if it failed)."""
    wait_for(_service(tend=True), run_id, quietly=False)


@app.command()
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

    service = _service()
    log = service.workspace.existing_run(run_id).log
    keep = matching(grep)
    if not following:
        for line in filter(keep, LogTail(log).last(lines)):
            say(line)
        return
    for line in follow(log, lines=lines, stop=lambda: not service.is_live(run_id), keep=keep):
        say(line)


@app.command()
def gate(
    run_id: RunArgument,
    as_json: Json = False,
    qc: Annotated[
        Path | None, typer.Option("--qc", metavar="FILE", help="YAML with qc: and gate: to judge by instead")
    ] = None,
) -> None:
    """The gate's verdict: exit 0 pass, 10 fail, 11 undecided."""
    from engine.report.gate import gate_text, regrade

    service = _service()
    verdict = regrade(service.workspace.existing_run(run_id), qc) if qc else service.look_at_run(run_id).gate
    if as_json:
        say_json(verdict.to_json())
    else:
        say(gate_text(verdict))
    raise CommandEnd(GATE_EXIT[verdict.verdict])


@app.command()
def compare(
    campaign: CampaignArgument,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="a Markdown table")] = False,
) -> None:
    """Runs side by side: metrics, parameters that differ, cost."""
    from engine.report.tables import comparison_json, comparison_rows, markdown_table, text_table

    picture = _service().look(campaign)
    if as_json:
        say_json(comparison_json(picture))
    else:
        say((markdown_table if markdown else text_table)(*comparison_rows(picture)))


@app.command()
def budget(campaign: CampaignArgument, as_json: Json = False) -> None:
    """What was spent, is committed, is left, and what the next action would cost."""
    from engine.report.budget import budget_json, budget_text

    picture = _service().look(campaign)
    if as_json:
        say_json(budget_json(picture))
    else:
        say(budget_text(picture))


@app.command()
def idle(
    campaign: CampaignArgument,
    cancel: Annotated[bool, typer.Option("--cancel", help="keep the machine: end the countdown")] = False,
    as_json: Json = False,
) -> None:
    """The countdown to `budget.on_idle`, which stops an idle machine; --cancel ends it (exit 4 if there is none)."""
    from engine.report.tables import idle_text, no_idle_text

    service = _service()
    picture = None if cancel else service.look(campaign)
    countdown = picture.idle if picture else service.cancel_idle(campaign)
    if as_json:
        say_json(countdown.to_json() if countdown else None)
    elif countdown:
        say(idle_text(campaign, countdown))
    elif picture:
        say(no_idle_text(picture))


# --- taking in, checking ------------------------------------------------------------------------------------------


@app.command("import")
def import_run(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder with the seed's artifacts, or a JSONL file")],
    campaign: Annotated[str, typer.Option("--campaign", help="the campaign it belongs to")],
    name: Annotated[str, typer.Option("--run", metavar="NAME", help="the run's name, e.g. pilot")],
) -> None:
    """Take in artifacts that another program made, as a finished run."""
    from engine.importing import import_folder

    service = _service()
    say(import_folder(service.workspace, folder, campaign, name, author=service.author))


@app.command()
def doctor() -> None:
    """Check this machine: Python, packages, pocket model, GPUs, folders, campaigns."""
    from engine.report.doctor import examine

    findings = examine(Path.cwd())
    for finding in findings:
        say(f"{'ok  ' if finding.ok else 'BAD '} {finding.text}")
    if not all(finding.ok for finding in findings):
        raise CommandEnd(EXIT_USAGE)


@config_app.command("check")
def config_check(file: Annotated[Path | None, typer.Argument(metavar="[FILE]")] = None) -> None:
    """Check one campaign file, or all in configs/."""
    from engine.campaign.loading import load_prompts
    from engine.files import Workspace
    from engine.replay.campaigns import load_checked

    paths = [file] if file else Workspace(Path.cwd()).campaign_files()
    if not paths:
        raise ConfigurationError(
            "no campaign files here", where=str(Path.cwd() / "configs"), remedy="name a FILE, or start beside configs/"
        )
    worst: PilothouseError | None = None
    for path in paths:
        try:
            campaign = load_checked(path)
            load_prompts(campaign, path)
        except PilothouseError as error:
            complain(str(error))
            worst = worst or error
            continue
        say(f"{path}: ok")
        for key in campaign.not_acted_on():
            say(f"{path}: note: {key} is read but not acted on yet")
    if worst is not None:
        raise CommandEnd(worst.exit_code)


@config_app.command("schema")
def config_schema() -> None:
    """The JSON Schema of a campaign file."""
    from engine.campaign.models import Campaign

    say_json(Campaign.model_json_schema())


@app.callback(invoke_without_command=True)
def main_options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    if version:
        say(f"pilothouse {__version__}")
        raise CommandEnd(EXIT_DONE)
    if context.invoked_subcommand is None:
        say(context.get_help())
