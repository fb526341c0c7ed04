"""`pilothouse engine`: start, show and stop the engine that a campaign keeps warm."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from engine.cli.arguments import CampaignArgument, Json, Yes, service_here
from engine.cli.console import CommandEnd, consent, note, say, say_json
from engine.errors import EXIT_NOT_FOUND, RunFailedError
from engine.report.engine import engine_text, no_engine_text
from engine.report.formatting import money
from engine.service import Service

POLL_S = 0.5

commands = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The engine that a campaign keeps warm between iterations (engine.keep_warm, backend vllm).",
)


@commands.command()
def start(
    campaign: CampaignArgument,
    wait: Annotated[bool, typer.Option("--wait", help="wait until it answers; exit 5 if it does not come up")] = False,
    yes: Yes = False,
) -> None:
    """Start the campaign's engine, detached, unless it is up; runs attach to it. Prints its id."""
    service = service_here(tend=True)
    plan = service.plan_engine(campaign)
    if plan.kind != "attach":
        consent(f"{campaign}: {plan.sentence}; then it costs {_rate(service, campaign)} until it stops?", yes=yes)
    say(service.start_engine(campaign, say=note))
    if wait:
        _await_answer(service, campaign)


@commands.command()
def status(
    campaign: CampaignArgument,
    as_json: Json = False,
) -> None:
    """Is it up, what does it do, who uses it, when does it stop, what has it cost (exit 3 if there never was one)."""
    engine = service_here(tend=True).look(campaign).engine
    if as_json:
        say_json(engine.to_json() if engine else None)
    else:
        say(engine_text(engine) if engine else no_engine_text(campaign))
    if engine is None:
        raise CommandEnd(EXIT_NOT_FOUND)


@commands.command()
def stop(
    campaign: CampaignArgument,
    now: Annotated[bool, typer.Option("--now", help="even from under a run that uses it, and without grace")] = False,
) -> None:
    """Stop it; returns when it is verified that nothing of it lives and the GPU's memory is back."""
    service = service_here()
    engine_id, state = service.stop_engine(campaign, now=now, on_progress=lambda line: note(f"{campaign}: {line}"))
    say(f"{engine_id}: {state}")


def _rate(service: Service, campaign: str) -> str:
    config = service.look(campaign).campaign
    return f"{money(config.budget.gpu_usd_per_hour)} an hour" if config is not None else "money"


def _await_answer(service: Service, campaign: str) -> None:
    said = ""
    while True:
        engine = service.look(campaign).engine
        if engine is not None and engine.ready is not None and engine.live:
            note(f"{engine.id}: answers after {engine.start_s:.0f} s" if engine.start_s else f"{engine.id}: answers")
            return
        if engine is None or not engine.live:
            reason = engine.reason if engine is not None else "it is not there"
            raise RunFailedError(
                f"the engine of {campaign} did not come up: {reason}",
                where=engine.log if engine is not None else None,
                remedy=f"see `pilothouse logs {engine.id}`" if engine is not None else None,
            )
        if engine.loading and engine.loading != said:
            said = engine.loading
            note(f"{engine.id}: {said}")
        time.sleep(POLL_S)
