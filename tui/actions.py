"""The one table of actions: keys, footer, help, command palette and README all come from it.

`refusal(view)` is None when the action can be done now, else why it cannot, in words for the person who pressed the
key. An action's `id` is the app's or screen's `action_…` method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tui import refusals
from tui.view import Refusal, View

Scope = Literal[
    "dashboard",
    "run",
    "log",
    "prompt",
    "metrics",
    "parameters",
    "events",
    "processes",
    "compare",
    "page",
    "samples",
    "form",
    "question",
    "copy",
    "everywhere",
]
SHARED: dict[Scope, tuple[Scope, ...]] = {
    "dashboard": ("everywhere",),
    "log": ("run", "everywhere"),
    "metrics": ("run", "page", "everywhere"),
    "parameters": ("run", "page", "everywhere"),
    "events": ("run", "page", "everywhere"),
    "processes": ("run", "page", "everywhere"),
    "compare": ("page", "everywhere"),
    "samples": ("everywhere",),
}
"""Whose actions a screen has beside its own: a run's pages share some, what scrolls shares others. A form's and a
question's keys are theirs alone."""


@dataclass(frozen=True, slots=True)
class Action:
    """`key` as Textual names it, `shown` as a person reads it; `scope` where it can be done; `footer` is its rank
    there, None to leave it out; `on_run` says that it applies to the selected run."""

    id: str
    key: str
    shown: str
    name: str
    help: str
    scope: Scope | tuple[Scope, ...] = "dashboard"
    footer: int | None = None
    refusal: Refusal = refusals.never
    palette: bool = True
    on_run: bool = False

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return (self.scope,) if isinstance(self.scope, str) else self.scope

    def possible(self, view: View) -> bool:
        return self.refusal(view) is None


ACTIONS: tuple[Action, ...] = (
    Action(
        "next",
        "enter,n",
        "⏎ n",
        "next",
        "Do the next action that the policy proposes, or take up what it wants looked at; asks first",
        footer=1,
        refusal=refusals.next_action,
    ),
    Action(
        "own_launch",
        "v",
        "v",
        "own values",
        "Launch a run with values of your own: a form, prefilled with what the policy proposes; asks first",
        footer=8,
        refusal=refusals.own_launch,
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
        "metrics",
        "m",
        "m",
        "metrics",
        "The selected run's metrics over its samples, with their bounds and limits",
        footer=7,
        refusal=refusals.no_run,
        on_run=True,
    ),
    Action(
        "samples",
        "f",
        "f",
        "samples",
        "The selected run's records: what flags them and where, what the critics said; mark flags, grade it again",
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
        "events",
        "h",
        "h",
        "events",
        "What happened to the selected run, who did what and when; what is wrong with it, in full",
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
    Action(
        "previous_run",
        "left",
        "←",
        "run left",
        "Select the run to the left",
        ("dashboard", "page"),
        refusal=refusals.runs,
        palette=False,
    ),
    Action(
        "next_run",
        "right",
        "→",
        "run right",
        "Select the run to the right",
        ("dashboard", "page"),
        footer=9,
        refusal=refusals.runs,
        palette=False,
    ),
    Action("campaigns", "a,tab", "a", "campaigns", "Choose another campaign", footer=7, refusal=refusals.campaigns),
    Action("copy", "y", "y", "copy", "Copy a command, a path or a figure: lists what there is", refusal=refusals.copy),
    Action("toggle_follow", "f,space", "f", "follow", "Follow the log's end, or hold still", "log", 1),
    Action("search", "slash", "/", "search", "Find text or a regular expression, towards the end", "log", 1),
    Action("search_back", "backslash", "\\", "search back", "Find it towards the start", "log"),
    Action("next_match", "n", "n", "next match", "The next match, in the direction of the search", "log", 6),
    Action("previous_match", "N", "N", "match before", "The next match the other way", "log"),
    Action("first_error", "E", "E", "first error", "The first error or traceback of the log, again the next", "log", 1),
    Action("filter_level", "L", "L", "level", "Only warnings and worse, only errors, all lines", "log", 2),
    Action("filter_text", "ampersand", "&", "filter", "Only lines with a text or regular expression", "log", 2),
    Action("wrap_lines", "w", "w", "wrap", "Long lines on several rows, or cut", "log", 5),
    Action("stamps", "t", "t", "stamps", "Time of day, lines as they were written, no times", "log", 7),
    Action("copy_lines", "y", "y", "copy", "Copy the line that was found, or those in sight", "log", 7),
    Action("clear_log", "backspace", "esc ⌫", "clear", "Stop a search, end it, end the filter", "log", palette=False),
    Action("line_up", "up,k", "↑", "up", "One line up", ("log", "page"), palette=False),
    Action("line_down", "down,j", "↓", "down", "One line down", ("log", "page"), 7, palette=False),
    Action("page_up", "pageup,b", "PgUp", "page up", "One page up", ("log", "page"), palette=False),
    Action("page_down", "pagedown", "PgDn", "page down", "One page down", ("log", "page"), palette=False),
    Action("first_line", "g,home", "g", "start", "To the first line", ("log", "page"), 2),
    Action("last_line", "G,end", "G", "end", "To the last line; a log is followed from there", ("log", "page"), 3),
    Action("scroll_left", "left", "←", "left", "Show what is further left", "log", palette=False),
    Action("scroll_right", "right", "→", "right", "Show the rest of long lines", "log", 8, palette=False),
    Action("show_log", "1", "1", "log", "The run's log", "run"),
    Action("show_metrics", "2", "2", "metrics", "Its metrics over its samples", "run"),
    Action("show_parameters", "3", "3", "parameters", "Its parameters beside the run's before it", "run"),
    Action("show_events", "4", "4", "events", "What happened to it, and who did what", "run"),
    Action("show_processes", "5", "5", "processes", "Its processes with CPU, memory and GPU", "run"),
    Action("next_page", "tab", "tab", "next page", "The page to the right", "run", palette=False),
    Action("previous_page", "shift+tab", "⇧tab", "page before", "The page to the left", "run", palette=False),
    Action("close", "escape,q", "esc q", "back", "Back to the dashboard", ("run", "page"), 8),
    Action("mark_right", "t", "t", "right", "The flag is right; goes on to the next sample", "samples", 1),
    Action("mark_wrong", "x", "x", "false alarm", "The flag is a false alarm; goes on to the next", "samples", 2),
    Action("next_sample", "down,n,j", "↓ n", "next", "The next sample", "samples", 3),
    Action("previous_sample", "up,p,k", "↑ p", "previous", "The sample before", "samples", palette=False),
    Action("only_unmarked", "m", "m", "unmarked", "Only flagged samples that nobody has marked, or all", "samples", 5),
    Action("next_filter", "right,tab", "→", "next filter", "All, kept, rejected, or what a detector flags", "samples"),
    Action("previous_filter", "left,shift+tab", "←", "filter before", "The filter to the left", "samples"),
    Action("jump", "number_sign,colon", "#", "go to", "Go to the record of a number; asks which", "samples"),
    Action("regrade", "g", "g", "regrade", "Grade the run again by another ruler; saves nothing unasked", "samples", 3),
    Action("copy_record", "y", "y", "copy", "Copy the record as a line of JSON to the clipboard", "samples", 6),
    Action("text_up", "pageup,b", "PgUp", "text up", "A long sample: towards its start", "samples", palette=False),
    Action("text_down", "pagedown", "PgDn", "text down", "Towards its end", "samples", palette=False),
    Action("read_again", "r", "r", "read again", "Read the run's records again, as they are now", "samples"),
    Action("leave_samples", "escape,f,q", "esc q", "back", "Back to the dashboard", "samples", 4),
    Action("look_for", "enter", "⏎", "look for it", "Look for what was typed; for nothing: as before", "prompt", 1),
    Action("switch_kind", "tab", "tab", "text/expression", "Regular expression, or text as it is", "prompt", 2),
    Action("leave_prompt", "escape", "esc", "leave", "Back to the log, as it was", "prompt", 3),
    Action("submit", "enter", "⏎", "launch, asks first", "Launch with these values; asks first", "form", 1),
    Action("next_field", "down", "↓", "field", "The next value", "form", 2),
    Action("previous_field", "up", "↑", "field before", "The value before", "form"),
    Action("empty_field", "ctrl+u", "^u", "empty it", "Empty the value", "form", 3),
    Action("leave_form", "escape", "esc", "back, starts nothing", "Back; nothing is started", "form", 4),
    Action("yes", "y", "y", "yes", "Do what is asked", "question"),
    Action("no", "n,escape,q", "n esc", "no", "Leave it: nothing is started, stopped or spent", "question"),
    Action("edit", "e", "e", "edit", "Change the values that it would start with", "question"),
    Action("stop_now", "K", "K", "now", "Stop without waiting for what is in flight", "question"),
    Action("copy_shown", "c", "c", "copy", "Copy the command that is shown", "question"),
    Action("take_choice", "enter", "⏎", "choose", "Take the choice between ▸ ◂; the first is harmless", "question"),
    Action("choice_before", "left,shift+tab", "←", "choice before", "The choice to the left", "question"),
    Action("choice_after", "right,tab", "→", "next choice", "The choice to the right", "question"),
    Action("copy_next", "n", "n", "next command", "The next action's command", "copy"),
    Action("copy_run", "i", "i", "run", "The selected run's id", "copy"),
    Action("copy_folder", "f", "f", "folder", "The path of its folder", "copy"),
    Action("copy_log", "l", "l", "log", "The path of its log", "copy"),
    Action("copy_pairs", "p", "p", "pairs", "The path of the file with its kept pairs", "copy"),
    Action("copy_return", "r", "r", "return here", "The command that opens this screen again", "copy"),
    Action("copy_comparison", "c", "c", "comparison", "The comparison of all runs as Markdown", "copy"),
    Action("copy_gate", "g", "g", "gate", "The selected run's verdict in a sentence", "copy"),
    Action("copy_figure", "", "1 … 9", "figure", "One metric of it with its limit and its evidence", "copy"),
    Action("copy_chosen", "enter", "⏎", "copy", "The row that is chosen", "copy"),
    Action("copy_up", "up,k", "↑", "up", "The row above", "copy"),
    Action("copy_down", "down,j", "↓", "down", "The row below", "copy"),
    Action("leave_copy", "escape,q,y", "esc q", "back", "Back to the dashboard", "copy"),
    Action("help", "question_mark,f1", "?", "help", "Every key, and what the signs mean", "everywhere", 8),
    Action("command_palette", "ctrl+p", "^p", "all", "Every action, by name", "everywhere", 9, palette=False),
    Action("quit", "q", "q", "quit", "Close the screen; runs go on and nothing is stopped", "dashboard", 10),
    Action("suspend_process", "ctrl+z", "^z", "suspend", "Back to the shell; fg returns", "everywhere", palette=False),
)

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}


def in_scope(scope: Scope) -> list[Action]:
    """Actions of a screen, each once: its own, then those it shares with others."""
    places = (scope, *SHARED.get(scope, ()))
    found: dict[str, Action] = {}
    for place in places:
        found |= {action.id: action for action in ACTIONS if place in action.scopes and action.id not in found}
    return list(found.values())


def footer_actions(scope: Scope, view: View) -> list[Action]:
    """What the footer shows now, most useful first: only what is possible."""
    shown = [action for action in in_scope(scope) if action.footer is not None and action.possible(view)]
    return sorted(shown, key=lambda action: action.footer or 0)


def key_table() -> str:
    """The table of keys as Markdown, for the documentation."""
    rows = [f"| `{action.shown}` | {', '.join(action.scopes)} | {action.help} |" for action in ACTIONS]
    return "\n".join(["| key | where | does |", "|---|---|---|", *rows])
