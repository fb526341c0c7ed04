"""Who gets how many lines: a pure function from view and terminal size to everything the dashboard shows."""

from __future__ import annotations

from dataclasses import dataclass

from tui.cells import Line, cut
from tui.panels.broken import LEAST_ROWS, broken_lines
from tui.panels.comparison import check_names, columns, differing_parameters, further_metric_names, table_lines
from tui.panels.empty import empty_lines
from tui.panels.engine import engine_lines
from tui.panels.facts import LEAST_FOR_THREE, fact_lines, pairs_file, useful_rows
from tui.panels.footer import footer_lines
from tui.panels.gate import suspects
from tui.panels.header import header_lines
from tui.panels.log_tail import log_lines
from tui.panels.next_action import next_lines
from tui.panels.remarks import action_line, warning_lines
from tui.panels.stages import idle_lines, stage_lines
from tui.view import View

PARTS = ("header", "stages", "table", "facts", "next", "log", "footer")
LEAST_WIDTH = 60
LEAST_HEIGHT = 16
MOST_NEXT = 9
BLANK: tuple[Line, ...] = ((),)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Lines per part of the dashboard; their heights add up to the terminal's, or less."""

    header: tuple[Line, ...]
    stages: tuple[Line, ...]
    table: tuple[Line, ...]
    facts: tuple[Line, ...] = ()
    next: tuple[Line, ...] = ()
    log: tuple[Line, ...] = ()
    footer: tuple[Line, ...] = ()


@dataclass(slots=True)
class _Rows:
    """Lines given to each part, titles not counted; 0 leaves the title out too. `broken` and `engine` count their
    titles. `warnings` and `actions` stand under the facts and have none."""

    facts: int = 2
    engine: int = 0
    warnings: int = 0
    actions: int = 0
    next: int = 1
    parameters: int = 0
    log: int = 0
    broken: int = 0
    further: bool = False
    airy: bool = False


def draw(view: View, log: tuple[str, ...] | None, width: int, height: int) -> Drawn:
    """The whole dashboard at `width` × `height`; `log` is the watched log's end."""

    def within(*lines: Line) -> tuple[Line, ...]:
        return tuple(cut(line, width) for line in lines)

    header, footer = within(*header_lines(view, width)), within(*footer_lines(view, width))
    empty = empty_lines(view, width)
    if empty is not None:
        return Drawn(header, BLANK, within(*empty[: height - 3]), footer=footer)
    rows = _allot(view, width, height)
    air = BLANK if rows.airy else ()
    table = table_lines(view, width, parameter_rows=rows.parameters, further_metrics=rows.further)
    coming = next_lines(view, width, rows.next) if rows.next else ()
    warnings = warning_lines(view, width, rows.warnings)
    acted = action_line(view, width) if rows.actions else None
    engine = engine_lines(view, width, rows.engine - 1) if rows.engine else ()
    return Drawn(
        header,
        within(*broken_lines(view, width, rows.broken), *stage_lines(view, width), *idle_lines(view, width), *air),
        within(*table),
        within(
            *(*air, *fact_lines(view, width, rows.facts), *warnings, *((acted,) if acted else ())),
            *((*air, *engine) if engine else ()),
        ),
        within(*air, *coming) if coming else (),
        within(*air, *log_lines(view, log, width, rows.log)) if rows.log else (),
        footer,
    )


def log_rows(height: int) -> int:
    """How many log lines can be wanted at most at this height."""
    return max(4, height)


def _allot(view: View, width: int, height: int) -> _Rows:
    """Give lines to what matters most first; what is left over goes to the log."""
    rows = _Rows()
    broken = len(broken_lines(view, width))
    if broken:  # without its file a campaign has no next action, and the place goes to what is wrong
        rows.broken, rows.next = LEAST_ROWS, 0
    differing = len(differing_parameters(columns(view, width).runs, view.selected))
    idle, warned = len(idle_lines(view, width)), len(warning_lines(view, width))
    acted, engine = int(action_line(view, width) is not None), len(engine_lines(view, width))
    spare = height - 3 - idle - (2 + len(check_names(view))) - (1 + rows.facts) - (rows.broken or 1 + rows.next)

    def grant(wanted: int) -> int:
        nonlocal spare
        given = max(0, min(wanted, spare))
        spare -= given
        return given

    # As low as it gets the figures give up a line for what must be said, and both for an engine beside an idle machine.
    short = max(int(spare < bool(warned or engine)), 1 - spare if engine and not warned else 0)
    rows.facts, spare = rows.facts - min(short, rows.facts), spare + min(short, rows.facts)
    rows.warnings = grant(min(warned, 1))
    rows.engine = grant(min(engine, 1))
    rows.warnings += grant(min(warned - rows.warnings, 1))
    rows.broken += grant(broken - rows.broken)
    long_path = width >= LEAST_FOR_THREE and view.selected is not None and pairs_file(view.selected) is not None
    if view.selected is not None and any(action.pending for action in view.selected.actions):
        rows.actions = grant(acted)
    rows.facts += grant(2 if long_path or _is_suspect(view) else 1)
    wanted = 0 if broken else len(next_lines(view, width, MOST_NEXT, unless=False)) - 1
    rows.next += grant(min(1, wanted - 1))
    rows.engine += grant(min(1, engine - rows.engine))
    if spare >= 2:
        rows.log = grant(2) - 1
    rows.actions += grant(acted - rows.actions)
    rows.next += grant(min(1, wanted - rows.next))
    rows.parameters = grant(min(2, differing))
    rows.warnings += grant(warned - rows.warnings)
    if rows.log:
        rows.log += grant(2)
    rows.engine += grant(min(2, engine - rows.engine))
    if spare >= 4 + bool(engine):
        rows.airy = grant(4 + bool(engine)) > 0
    rows.facts += grant(4 - rows.facts)
    rows.log += grant(2) if rows.log else 0
    rows.engine += grant(min(2, engine - rows.engine))
    rows.parameters += grant(min(6, differing - rows.parameters))
    rows.next += 0 if broken else grant(len(next_lines(view, width, MOST_NEXT)) - 1 - rows.next)
    rows.facts += grant(useful_rows(view, width) - rows.facts)
    rows.log += grant(4) if rows.log else 0
    rows.engine += grant(engine - rows.engine)
    further = len(further_metric_names(view))
    if further and spare >= further:
        rows.further = grant(further) == further
    rows.parameters += grant(differing - rows.parameters)
    rows.log += grant(spare) if rows.log else 0
    return rows


def _is_suspect(view: View) -> bool:
    """Whether a detector of the selected run's gate may be wrong, which wants a line more."""
    return view.selected is not None and bool(suspects(view.selected))
