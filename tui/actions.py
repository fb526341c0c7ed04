"""The one table of actions: keys, footer, help, command palette and README all come from it.

`refusal(view)` is None when the action can be done now, else why it cannot, in words for the person who pressed the
key. An action's `id` is the app's or screen's `action_…` method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tui import refusals
from tui.view import Refusal, View

Scope = Literal["dashboard", "log", "samples", "page", "everywhere"]


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
    refusal: Refusal = refusals.never
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
        refusal=refusals.next_action,
    ),
    Action(
        "stop",
        "s",
        "s",
        "stop",
        "Stop the selected run and verify that nothing of it is left; asks first",
        footer=3,
        refusal=refusals.stop,
        on_run=True,
    ),
    Action(
        "restart",
        "r",
        "r",
        "restart",
        "Resume the selected run where it ended; asks first",
        footer=4,
        refusal=refusals.resume,
        on_run=True,
    ),
    Action(
        "restart_fresh",
        "R",
        "R",
        "anew",
        "Begin the selected run anew from its first sample; asks first",
        refusal=refusals.restart,
        on_run=True,
    ),
    Action(
        "extend",
        "x",
        "x",
        "extend",
        "More samples with the same parameters in the selected run; asks how many",
        footer=5,
        refusal=refusals.extend,
        on_run=True,
    ),
    Action("log", "l", "l", "log", "The whole log of the selected run", footer=2, refusal=refusals.no_run, on_run=True),
    Action(
        "samples",
        "f",
        "f",
        "flagged",
        "What a detector flags in the selected run, the flagged span marked: look, and mark what it got right or wrong",
        footer=5,
        refusal=refusals.no_run,
        on_run=True,
    ),
    Action(
        "engine",
        "e",
        "e",
        "engine",
        "The engine that the campaign keeps warm: what it does and costs; start it, stop it, its log; asks first",
        footer=5,
        refusal=refusals.engine,
    ),
    Action(
        "compare",
        "c",
        "c",
        "compare",
        "All runs side by side, with every parameter that differs",
        footer=6,
        refusal=refusals.no_run,
    ),
    Action(
        "history",
        "h",
        "h",
        "history",
        "Who did what to the selected run, and when; what is wrong with it, in full",
        footer=8,
        refusal=refusals.no_run,
        on_run=True,
    ),
    Action(
        "cancel_idle",
        "i",
        "i",
        "keep machine",
        "Cancel the countdown after which an idle machine is stopped",
        footer=3,
        refusal=refusals.idle,
    ),
    Action("previous_run", "left", "←", "run left", "Select the run to the left", refusal=refusals.runs, palette=False),
    Action("next_run", "right", "→", "run right", "Select the run to the right", refusal=refusals.runs, palette=False),
    Action("campaigns", "a,tab", "a", "campaigns", "Choose another campaign", footer=7, refusal=refusals.campaigns),
    Action("copy_command", "y", "y", "copy", "Copy the next action's command to the clipboard", refusal=refusals.copy),
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
    Action("mark_right", "t", "t", "right", "The flag is right; goes on to the next sample", "samples", 1),
    Action("mark_wrong", "x", "x", "false alarm", "The flag is a false alarm; goes on to the next", "samples", 2),
    Action("next_sample", "down,n,j", "↓ n", "next", "The next sample", "samples", 3),
    Action("previous_sample", "up,p,k", "↑ p", "previous", "The sample before", "samples", palette=False),
    Action("only_unmarked", "m", "m", "unmarked", "Only samples that nobody has marked, or all", "samples", 5),
    Action("next_kind", "right,tab", "→", "next detector", "What the next detector flags", "samples"),
    Action("previous_kind", "left,shift+tab", "←", "detector before", "What the one before it flags", "samples"),
    Action("text_up", "pageup,b", "PgUp", "text up", "A long sample: towards its start", "samples", palette=False),
    Action("text_down", "pagedown", "PgDn", "text down", "Towards its end", "samples", palette=False),
    Action("read_again", "r", "r", "read again", "Read the run's records again, as they are now", "samples"),
    Action("leave_samples", "escape,f,q", "esc q", "back", "Back to the dashboard", "samples", 4),
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
    rows = [f"| `{action.shown}` | {action.scope} | {action.help} |" for action in ACTIONS]
    return "\n".join(["| key | where | does |", "|---|---|---|", *rows])
