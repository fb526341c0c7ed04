"""Commands that start, stop and go on with runs."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.arguments import MOST, CampaignArgument, Json, OpenDashboard, RunArgument, Yes, service_here
from engine.cli.console import CommandEnd, consent, forecast_text, note, paper_width, say, say_json
from engine.cli.following import follow_campaign, wait_for
from engine.errors import EXIT_RUN_FAILED, ConfigurationError
from engine.service import Service

commands = typer.Typer()


@commands.command()
def demo(
    context: typer.Context,
    headless: Annotated[bool, typer.Option("--headless", help="plain lines instead of the dashboard")] = False,
    folder: Annotated[Path, typer.Option("--dir", help="where the demo lives")] = Path("pilothouse-demo"),
) -> None:
    """Take a demo campaign from pilot to scale on the model that ships with Pilothouse."""
    from engine.demo import CAMPAIGN, set_up
    from engine.report.comparison import comparison_text

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
    say(comparison_text(picture, paper_width()))
    say("")
    say(f"next: {picture.next.kind}: {picture.next.reason}" if picture.next else "")
    if picture.state != "done":
        raise CommandEnd(EXIT_RUN_FAILED)


@commands.command()
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
    service = service_here(tend=True)
    plan = service.plan_launch(campaign, name, assignments or [])
    forecast = forecast_text(plan.forecast.cost_usd, plan.forecast.duration_s, plan.forecast.basis)
    engine = f", {plan.engine.sentence}" if plan.engine.sentence else ""
    consent(f"launch {campaign}/{plan.run} for {plan.target.examples} examples, {forecast}{engine}?", yes=yes)
    run_id = service.launch(campaign, plan.run, assignments or [], say=note)
    say(run_id)
    if wait:
        wait_for(service, run_id, quietly=True)


@commands.command()
def stop(
    run_id: RunArgument,
    now: Annotated[bool, typer.Option("--now", help="without the grace that lets it finish what is in flight")] = False,
) -> None:
    """Stop a run; returns when it is verified that nothing of it lives any more."""
    state = service_here().stop(run_id, now=now, on_progress=lambda line: note(f"{run_id}: {line}"))
    say(f"{run_id}: {state}")


@commands.command()
def restart(
    run_id: RunArgument,
    fresh: Annotated[bool, typer.Option("--fresh", help="archive what it made and begin anew")] = False,
    yes: Yes = False,
) -> None:
    """Go on with a run that was stopped, failed or was lost; every finished record is kept."""
    service = service_here()
    cost = service.forecast_restart(run_id)
    what = "begin anew with" if fresh else "go on with"
    consent(f"{what} {run_id}, {forecast_text(cost)}?", yes=yes)
    say(service.restart(run_id, fresh=fresh, say=note))


@commands.command()
def extend(
    run_id: RunArgument,
    examples: Annotated[int, typer.Option("--examples", min=1, max=MOST, help="the new target of kept pairs")],
    yes: Annotated[bool, typer.Option("--yes", "-y", hidden=True)] = False,
) -> None:
    """The same parameters, more samples: raise the target of an ended run and go on in it."""
    del yes  # naming the number is consent; accepted so that scripts may pass it everywhere
    say(service_here().extend(run_id, examples, note))


@commands.command("next")
def next_action(
    campaign: CampaignArgument,
    as_json: Json = False,
    do: Annotated[bool, typer.Option("--do", help="carry it out")] = False,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="with --do: another value than proposed")
    ] = None,
    yes: Yes = False,
) -> None:
    """What comes next, why, its exact command and forecast cost; with --do, does it."""
    from engine.report.next import next_text

    if assignments and not do:
        raise ConfigurationError("--set changes what is started, and nothing is", remedy="add --do")
    service = service_here()
    picture = service.look(campaign)
    action = picture.next
    assert action is not None
    if assignments and action.kind in ("launch", "iterate", "scale"):
        forecast = service.plan_launch(campaign, action.run, assignments).forecast
        action = replace(
            action.edited(assignments),
            cost_usd=forecast.cost_usd,
            duration_s=forecast.duration_s,
            basis=forecast.basis,
        )
    if as_json:
        say_json(action.to_json())
    else:
        say(next_text(action))
    if do:
        if action.argv is not None:
            consent(f"{action.command}, {forecast_text(action.cost_usd, action.duration_s, action.basis)}?", yes=yes)
        done = service.do_next(campaign, note, assignments or ())
        note(f"started: {campaign}/{done.run}")
