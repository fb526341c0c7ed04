"""The one table of actions: keys, footer, help, command palette and README all come from it.

`refusal(view)` is None when the action can be done now, else why it cannot, in words for the person who pressed the
key. An action's `id` is the app's or screen's `action_…` method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tui.view import Refusal, View

Scope = Literal["dashboard", "log", "everywhere"]


def _always(_: View) -> str | None:
    return None


def _next(view: View) -> str | None:
    if view.next is None:
        return "no campaign is open" if view.current is None else "its file cannot be used: what is wrong stands on top"
    if view.next.argv is None:
        return f"nothing to start now: {view.next.reason}"
    return _not_busy(view)


def _not_busy(view: View) -> str | None:
    return f"wait until this is done: {view.busy}" if view.busy else None


def _run(view: View) -> str | None:
    return None if view.selected else "there is no run yet"


def _stop(view: View) -> str | None:
    run = view.selected
    if run is None:
        return "there is no run yet"
    if not run.live and not run.gpu_held:
        return f"{run.name} is not going: {run.state}"
    return _not_busy(view)


def _restart(view: View) -> str | None:
    run = view.selected
    if run is None:
        return "there is no run yet"
    if run.live and not run.awaits_restart:
        return f"{run.name} is going: stop it first"
    if run.imported:
        return f"{run.name} was imported: there is nothing to restart"
    return _not_busy(view)


def _resume(view: View) -> str | None:
    run = view.selected
    if run is not None and run.state == "succeeded":
        return f"{run.name} is finished: extend it (x), or begin it anew (R)"
    return _restart(view)


def _extend(view: View) -> str | None:
    run = view.selected
    if run is None:
        return "there is no run yet"
    if run.live and not run.awaits_restart:
        return f"{run.name} is going: wait for its end"
    if run.imported:
        return f"{run.name} was imported: there is nothing to extend"
    return _not_busy(view)


def _idle(view: View) -> str | None:
    if view.current is None:
        return "no campaign is open"
    if view.idle is None:
        return "nothing counts down"
    match view.idle.state:
        case "counting":
            return None
        case "cancelled":
            return f"nothing counts down any more: {view.idle.author} cancelled it"
        case "running":
            return "too late: the command is being run"
        case _:
            return "too late: the command was run"


def _engine(view: View) -> str | None:
    """An engine that there is can always be looked at and stopped, whatever became of the campaign's file."""
    current = view.current
    if current is None:
        return "no campaign is open"
    config = current.campaign
    if current.engine is None or not (current.engine.live or current.engine.gpu_held):
        if config is None:
            return "its file cannot be used: what is wrong stands on top"
        if config.generator.kind != "builtin":
            return f"{current.name} has no engine: its generator is a program of its own"
        if config.model.backend != "vllm":
            return f"{current.name} has no engine: its backend is {config.model.backend}, not vllm"
    return _not_busy(view)


def _runs(view: View) -> str | None:
    return None if len(view.runs) > 1 else "there is only one run" if view.runs else "there is no run yet"


def _campaigns(view: View) -> str | None:
    number = len(view.snapshot.campaigns) if view.snapshot else 0
    return None if number > 1 else "there is only one campaign here" if number else "there is no campaign here"


def _copy(view: View) -> str | None:
    return None if view.next and view.next.command else "there is no command to copy"


@dataclass(frozen=True, slots=True)
class Action:
    """`key` as Textual names it, `shown` as a person reads it; `footer` is its rank there, None to leave it out;
    `on_run` says that it applies to the selected run."""

    id: str
    key: str
    shown: str
    name: str
    help: str
    scope: Scope = "dashboard"
    footer: int | None = None
    refusal: Refusal = _always
    palette: bool = True
    on_run: bool = False

    def possible(self, view: View) -> bool:
        return self.refusal(view) is None


ACTIONS: tuple[Action, ...] = (
    Action(
        "next",
        "enter,n",
        "⏎ n",
        "next",
        "Do the next action that the policy proposes; asks first",
        footer=1,
        refusal=_next,
    ),
    Action(
        "stop",
        "s",
        "s",
        "stop",
        "Stop the selected run and verify that nothing of it is left; asks first",
        footer=3,
        refusal=_stop,
        on_run=True,
    ),
    Action(
        "restart",
        "r",
        "r",
        "restart",
        "Resume the selected run where it ended; asks first",
        footer=4,
        refusal=_resume,
        on_run=True,
    ),
    Action(
        "restart_fresh",
        "R",
        "R",
        "anew",
        "Begin the selected run anew from its first sample; asks first",
        refusal=_restart,
        on_run=True,
    ),
    Action(
        "extend",
        "x",
        "x",
        "extend",
        "More samples with the same parameters in the selected run; asks how many",
        footer=5,
        refusal=_extend,
        on_run=True,
    ),
    Action("log", "l", "l", "log", "The whole log of the selected run", footer=2, refusal=_run, on_run=True),
    Action(
        "engine",
        "e",
        "e",
        "engine",
        "The engine that the campaign keeps warm: what it does and costs; start it, stop it, its log; asks first",
        footer=5,
        refusal=_engine,
    ),
    Action(
        "compare",
        "c",
        "c",
        "compare",
        "All runs side by side, with every parameter that differs",
        footer=6,
        refusal=_run,
    ),
    Action(
        "history",
        "h",
        "h",
        "history",
        "Who did what to the selected run, and when; what is wrong with it, in full",
        footer=8,
        refusal=_run,
        on_run=True,
    ),
    Action(
        "cancel_idle",
        "i",
        "i",
        "keep machine",
        "Cancel the countdown after which an idle machine is stopped",
        footer=3,
        refusal=_idle,
    ),
    Action("previous_run", "left", "←", "run left", "Select the run to the left", refusal=_runs, palette=False),
    Action("next_run", "right", "→", "run right", "Select the run to the right", refusal=_runs, palette=False),
    Action("campaigns", "a,tab", "a", "campaigns", "Choose another campaign", footer=7, refusal=_campaigns),
    Action("copy_command", "y", "y", "copy", "Copy the next action's command to the clipboard", refusal=_copy),
    Action("toggle_follow", "f,space", "f", "follow/pause", "Follow the log's end, or hold still", "log", 1),
    Action("line_up", "up,k", "↑", "up", "One line up", "log", palette=False),
    Action("line_down", "down,j", "↓", "down", "One line down", "log", palette=False),
    Action("page_up", "pageup,b", "PgUp", "page up", "One page up", "log", palette=False),
    Action("page_down", "pagedown", "PgDn", "page down", "One page down", "log", palette=False),
    Action("first_line", "g,home", "g", "start", "To the log's first line", "log", 2),
    Action("last_line", "G,end", "G", "end", "To the log's last line, and follow it", "log", 3),
    Action("scroll_left", "left", "←", "left", "Show what is further left", "log", palette=False),
    Action("scroll_right", "right", "→", "right", "Show the rest of long lines", "log", 4, palette=False),
    Action("close", "escape,l,q", "esc q", "back", "Back to the dashboard", "log", 5),
    Action("help", "question_mark,f1", "?", "help", "This page", "everywhere", 8),
    Action("command_palette", "ctrl+p", "^p", "all", "Every action, by name", "everywhere", 9, palette=False),
    Action("quit", "q", "q", "quit", "Close the screen; runs go on and nothing is stopped", "dashboard", 10),
    Action("suspend_process", "ctrl+z", "^z", "suspend", "Back to the shell; fg returns", "everywhere", palette=False),
)

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}


def in_scope(scope: Scope) -> list[Action]:
    """Actions of a screen, those of every screen last."""
    return [action for action in ACTIONS if action.scope == scope] + [
        action for action in ACTIONS if action.scope == "everywhere"
    ]


def footer_actions(scope: Scope, view: View) -> list[Action]:
    """What the footer shows now, most useful first: only what is possible."""
    shown = [action for action in in_scope(scope) if action.footer is not None and action.possible(view)]
    return sorted(shown, key=lambda action: action.footer or 0)


def key_table() -> str:
    """The table of keys as Markdown, for the documentation."""
    places = {"dashboard": "dashboard", "log": "log", "everywhere": "everywhere"}
    rows = [f"| `{action.shown}` | {places[action.scope]} | {action.help} |" for action in ACTIONS]
    return "\n".join(["| key | where | does |", "|---|---|---|", *rows])
