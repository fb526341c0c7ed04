"""Who gets how many lines: a pure function from view and terminal size to everything the dashboard shows."""

from __future__ import annotations

from dataclasses import dataclass

from tui.cells import Line, cut
from tui.panels.comparison import check_names, columns, differing_parameters, further_metric_names, table_lines
from tui.panels.empty import empty_lines
from tui.panels.facts import fact_lines
from tui.panels.footer import footer_lines
from tui.panels.header import header_lines
from tui.panels.log_tail import log_lines
from tui.panels.next_action import next_lines
from tui.panels.stages import stage_lines
from tui.view import View

PARTS = ("header", "stages", "table", "facts", "next", "log", "footer")
LEAST_WIDTH = 60
LEAST_HEIGHT = 16
MOST_NEXT = 7
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
    """Lines given to each part, titles not counted; `log` 0 leaves its title out too."""

    facts: int = 2
    next: int = 1
    parameters: int = 0
    log: int = 0
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
    return Drawn(
        header,
        within(*stage_lines(view, width), *air),
        within(*table),
        within(*air, *fact_lines(view, width, rows.facts)),
        within(*air, *next_lines(view, width, rows.next)),
        within(*air, *log_lines(view, log, width, rows.log)) if rows.log else (),
        footer,
    )


def log_rows(height: int) -> int:
    """How many log lines can be wanted at most at this height."""
    return max(4, height)


def _allot(view: View, width: int, height: int) -> _Rows:
    """Give lines to what matters most first; what is left over goes to the log."""
    rows = _Rows()
    differing = len(differing_parameters(columns(view, width).runs, view.selected))
    spare = height - 3 - (2 + len(check_names(view))) - (1 + rows.facts) - (1 + rows.next)

    def grant(wanted: int) -> int:
        nonlocal spare
        given = max(0, min(wanted, spare))
        spare -= given
        return given

    rows.facts += grant(1)
    wanted = len(next_lines(view, width, MOST_NEXT)) - 1
    rows.next += grant(min(1, wanted - 1))
    if spare >= 2:
        rows.log = grant(2) - 1
    rows.parameters = grant(min(2, differing))
    rows.next += grant(min(1, wanted - rows.next))
    if rows.log:
        rows.log += grant(2)
    if spare >= 4:
        rows.airy = grant(4) == 4
    rows.facts += grant(1)
    rows.log += grant(2) if rows.log else 0
    rows.parameters += grant(min(6, differing - rows.parameters))
    rows.next += grant(wanted - rows.next)
    rows.log += grant(4) if rows.log else 0
    further = len(further_metric_names(view))
    if further and spare >= further:
        rows.further = grant(further) == further
    rows.parameters += grant(differing - rows.parameters)
    rows.log += grant(spare) if rows.log else 0
    return rows
