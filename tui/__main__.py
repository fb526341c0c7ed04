"""Entry point of `pilothouse`: a subcommand goes to the command line, none opens the dashboard.

Textual is imported only for the dashboard, after the settings that it reads at import have been made.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import EXIT_DONE, EXIT_USAGE
from engine.places import made_state_folder

DEFAULTS = {
    "TEXTUAL_FPS": "60",  # the feed ticks twice a second: what comes more often is an answer to a key
    "ESCDELAY": "25",
    "TEXTUAL_ANIMATIONS": "none",
    "TEXTUAL_SMOOTH_SCROLL": "0",
}
FROZEN_SIZE = ("COLUMNS", "LINES")
"""Environment variables that Textual believes before it asks the terminal, which knows when it is resized."""
COMPLETION = "_PILOTHOUSE_COMPLETE"
"""Environment variable by which a shell asks what it may complete, with nothing on the command line."""
EXIT_CRASHED = 1
HUNG_UP = 128 + signal.SIGHUP
HELPLESS_TERMINALS = ("dumb", "unknown")


def open_dashboard(root: Path, campaign: str | None = None) -> int:
    """Show the dashboard on the workspace `root` until it is closed; the exit code."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        sys.stderr.write(
            "the dashboard needs a terminal, and this is none\n"
            "  to do: use `pilothouse status`, or `pilothouse watch RUN` for lines as they happen\n"
        )
        return EXIT_USAGE
    kind = os.environ.get("TERM", "")
    if kind in HELPLESS_TERMINALS:
        sys.stderr.write(
            f"the dashboard needs a terminal that can move its cursor, and TERM={kind} says that this one cannot\n"
            "  to do: use `pilothouse status`, or `pilothouse watch RUN`; set TERM=xterm if it can after all\n"
        )
        return EXIT_USAGE
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    for name in FROZEN_SIZE:
        os.environ.pop(name, None)
    from engine.logs.sanitise import sanitise
    from engine.service import Service
    from tui.app import PilothouseApp
    from tui.copying import return_command
    from tui.settings import load_settings
    from tui.theme_choice import remembered_theme

    settings, complaints = load_settings()
    app = PilothouseApp(
        Service(root, tend=True),
        campaign,
        settings=settings,
        complaints=complaints,
        last_theme=remembered_theme(),
        refresh_s=1 / settings.refresh_per_second,
    )
    app.run()
    app.settle()
    if app.crash is not None:
        sys.stderr.write(_crash_report(app.crash))
        return EXIT_CRASHED
    engine = app.view.engine
    going = [run.id for run in app.view.runs if run.live] + ([engine.id] if engine is not None and engine.live else [])
    if going and app.return_code != HUNG_UP:  # there nobody is left to read it
        again = "pilothouse" if root.resolve() == Path.cwd() else return_command(root)
        verb, it = ("goes on", "it") if len(going) == 1 else ("go on", "them")
        sys.stdout.write(f"{sanitise(', '.join(going))} {verb}; {sanitise(again)} shows {it} again\n")
    return app.return_code or EXIT_DONE


def _crash_report(trace: str) -> str:
    """Put the traceback into a private file; what to tell the person."""
    words = "the screen broke down; runs are not affected and go on\n"
    try:
        path = made_state_folder() / "crash.log"
        path.write_text(trace, encoding="utf-8")
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    except OSError:
        return f"{words}  what happened: {trace.strip().splitlines()[-1]}\n"
    return f"{words}  where: {path}\n  to do: open it again; if it breaks again, report it with that file\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments or COMPLETION in os.environ:
        from engine.cli import run

        return run(arguments, open_dashboard=open_dashboard)
    return open_dashboard(Path.cwd())


if __name__ == "__main__":
    raise SystemExit(main())
