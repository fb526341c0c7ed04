"""The command line: everything the screen can do, without a screen.

Heavy modules are imported inside the commands that need them, so that `--help` and `status` answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from engine import __version__
from engine.cli import checking, engines, grading, looking, starting
from engine.cli.arguments import OpenDashboard
from engine.cli.console import CommandEnd, complain, make_streams_safe, say
from engine.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_USAGE, PilothouseError
from engine.files import storage_error

USAGE_ERROR: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
"""Base of the errors that the argument parser raises; typer carries that parser inside, without a public name."""

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Run supervisor for gated LLM data generation. Without a command: the dashboard on ./configs.",
)
for commands in (starting.commands, looking.commands, grading.commands, checking.commands):
    app.add_typer(commands)
app.add_typer(engines.commands, name="engine")


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
