"""Which pictures there are: of which campaign, at what moment, at what size, after which keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui.view import View

Moment = Callable[[View], bool]


@dataclass(frozen=True, slots=True)
class Picture:
    """`docs/pictures/NAME.svg`. `moment` is waited for on the dashboard, then `keys` are pressed, and `seen` must stand
    on the screen before it is taken; `shows` is what it is good for."""

    name: str
    shows: str
    moment: Moment
    keys: tuple[str, ...] = ()
    seen: str = ""
    size: tuple[int, int] = (100, 30)


def going(run: str, kept: int) -> Moment:
    """`run` is live and has kept at least `kept` pairs."""

    def moment(view: View) -> bool:
        found = view.current.run(run) if view.current is not None else None
        return found is not None and found.live and found.counts.kept >= kept

    return moment


def done(view: View) -> bool:
    """Nothing is left to do in the campaign."""
    return view.current is not None and view.current.state == "done"


def proposed(view: View) -> bool:
    """The pilot has ended, and the policy says what to try after it."""
    return view.next is not None and view.next.kind == "iterate"


DEMO: tuple[Picture, ...] = (
    Picture("pilot", "The pilot is live, its metrics stand against the gate", going("pilot", 5), size=(80, 24)),
    Picture("dashboard", "The pilot has failed its gate, iteration 1 is live", going("iteration-1", 40)),
    Picture("finished", "All is done: what it gave, what it cost", done, size=(80, 24)),
    Picture("gate", "A run that failed: each check and its evidence", done, ("left", "left"), size=(120, 40)),
    Picture("compare", "All runs side by side, with every parameter that differs", done, ("c",), "comparison"),
    Picture("log", "The whole log of a run", done, ("left", "left", "l"), "run.log"),
    Picture("metrics", "A run's metrics over its samples", done, ("left", "left", "m"), "runaway"),
    Picture("samples", "A sample that a detector flags, the flagged span marked", done, ("left", "left", "f"), "of"),
)
"""The demo, which goes from pilot to scale by itself."""

BY_HAND: tuple[Picture, ...] = (
    Picture("launch", "The launch form: each value with its reason", proposed, ("enter", "e", "down"), "forecast"),
)
"""The same campaign, where a person decides after the pilot."""

PROGRAM: tuple[Picture, ...] = (Picture("program", "A program of one's own under supervision", going("pilot", 40)),)
"""A program that Pilothouse only supervises (`generator: {kind: command}`)."""

PICTURES = (*DEMO, *BY_HAND, *PROGRAM)
