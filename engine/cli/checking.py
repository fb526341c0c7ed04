"""Commands that take in what others made, and check this machine and campaign files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.arguments import service_here
from engine.cli.console import CommandEnd, complain, say, say_json
from engine.errors import EXIT_USAGE, ConfigurationError, PilothouseError

commands = typer.Typer()
config_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Check campaign files; print their schema; find the settings."
)
commands.add_typer(config_app, name="config")


@commands.command("import")
def import_run(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder with the seed's artifacts, or a JSONL file")],
    campaign: Annotated[str, typer.Option("--campaign", help="the campaign it belongs to")],
    name: Annotated[str, typer.Option("--run", metavar="NAME", help="the run's name, e.g. pilot")],
) -> None:
    """Take in artifacts that another program made, as a finished run."""
    from engine.importing import import_folder

    service = service_here()
    say(import_folder(service.workspace, folder, campaign, name, author=service.author))


@commands.command()
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


@config_app.command("path")
def config_path() -> None:
    """Where the screen's settings and its state lie."""
    from engine.places import settings_file, state_folder

    settings = settings_file()
    say(f"settings: {settings}{'' if settings.exists() else ' (there is none: defaults hold)'}")
    say(f"state: {state_folder()}")


@config_app.command("schema")
def config_schema() -> None:
    """The JSON Schema of a campaign file."""
    from engine.campaign.models import Campaign

    say_json(Campaign.model_json_schema())
