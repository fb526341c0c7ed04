"""Entry point of `pilothouse`: a subcommand goes to the command line, none opens the dashboard.

Textual is imported only for the dashboard, after the settings that it reads at import have been made.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import EXIT_DONE, EXIT_USAGE
from tui.places import state_folder

DEFAULTS = {
    "TEXTUAL_FPS": "10",
    "TEXTUAL_ANIMATIONS": "none",
    "TEXTUAL_SMOOTH_SCROLL": "0",
}
EXIT_CRASHED = 1


def open_dashboard(root: Path, campaign: str | None = None) -> int:
    """Show the dashboard on the workspace `root` until it is closed; the exit code."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        sys.stderr.write(
            "the dashboard needs a terminal, and this is none\n"
            "  to do: use `pilothouse status`, or `pilothouse watch RUN` for lines as they happen\n"
        )
        return EXIT_USAGE
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    from engine.logs.sanitise import sanitise
    from engine.service import Service
    from tui.app import PilothouseApp

    app = PilothouseApp(Service(root, tend=True), campaign)
    result = app.run()
    app.settle()
    if app.crash is not None:
        sys.stderr.write(_crash_report(app.crash))
        return EXIT_CRASHED
    engine = app.view.engine
    going = [run.id for run in app.view.runs if run.live] + ([engine.id] if engine is not None and engine.live else [])
    if going and result is not None:
        again = "pilothouse" if root.resolve() == Path.cwd() else f"cd {shlex.quote(str(root))} && pilothouse"
        verb, it = ("goes on", "it") if len(going) == 1 else ("go on", "them")
        sys.stdout.write(f"{sanitise(', '.join(going))} {verb}; {sanitise(again)} shows {it} again\n")
    return app.return_code or EXIT_DONE


def _crash_report(trace: str) -> str:
    """Put the traceback into a private file; what to tell the person."""
    words = "the screen broke down; runs are not affected and go on\n"
    try:
        path = state_folder() / "crash.log"
        path.write_text(trace, encoding="utf-8")
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    except OSError:
        return f"{words}  what happened: {trace.strip().splitlines()[-1]}\n"
    return f"{words}  where: {path}\n  to do: open it again; if it breaks again, report it with that file\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments:
        from engine.cli import run

        return run(arguments, open_dashboard=open_dashboard)
    return open_dashboard(Path.cwd())


if __name__ == "__main__":
    raise SystemExit(main())
