"""What must be true after any fault, one function each; `everything` asks them all."""

from __future__ import annotations

import time
import unicodedata
from typing import Any

from tests.faults.scene import EXAMPLES, HEARTBEAT_S, USD_PER_SECOND, Scene, comparable
from tests.waiting import wait_until
from tui.logfile import LogFile
from tui.panels.arrange import draw
from tui.view import View

SIGNS = {
    "starting": ("● starting",),
    "running": ("● running",),
    "stopping": ("● stopping",),
    "stopped": ("■ stopped",),
    "failed": ("! failed",),
    "lost": ("? lost",),
    "succeeded": ("✓ pass", "✗ fail", "◐ undecided"),
}
"""What the stages on the dashboard say of a run; once it has done its part, the gate's verdict."""

SLACK_S = 0.25
NEGLIGIBLE = 0.01
UNSEEN_S = 2 * HEARTBEAT_S
"""What may be missing from the bill for each time that nobody could keep it; otherwise next to nothing."""


def everything(scene: Scene, state: str) -> None:
    """All five, of a run that is over and in `state`. A succeeded one must hold the records of an undisturbed run."""
    campaign = shows(scene, state)  # whoever looks may have a keeper record that a run died unwatched
    records_are_whole(scene, complete=state == "succeeded")
    nothing_is_left(scene)
    bystanders_are_untouched(scene)
    the_money_is_right(scene, campaign)


def records_are_whole(scene: Scene, *, complete: bool) -> None:
    """What was acknowledged stands there byte for byte, each item once, none left out."""
    if scene.foreign:
        assert scene.log().startswith(scene.acknowledged), "the log lost what stood in it"
        return
    lines = scene.records()
    text = b"".join(line + b"\n" for line in lines)
    assert text.startswith(scene.acknowledged), "a record that was acknowledged is gone, or altered"
    records = comparable(lines)
    if not scene.damaged:
        assert len(records) == len(lines), "the records hold garbage"
    indexes = [record["index"] for record in records]
    assert len(set(indexes)) == len(indexes), "a record stands there twice"
    if complete:
        assert indexes == list(range(len(indexes))), "a record is missing"
        assert records == scene.undisturbed, "the records are not those of an undisturbed run"
        assert sum(record["kept"] for record in records) == EXAMPLES


def nothing_is_left(scene: Scene) -> None:
    """No process of the run lives, by any sign."""
    scene.gone()


def bystanders_are_untouched(scene: Scene) -> None:
    assert [what for bystander in scene.bystanders for what in bystander.complaints()] == []


def shows(scene: Scene, *states: str) -> dict[str, Any]:
    """`status --json` and the dashboard name one of `states`, the same; returns that status."""

    def seen() -> dict[str, Any] | None:
        dashboard = screen(scene)
        campaign = scene.status()
        told = next(run["state"] for run in campaign["runs"] if run["name"] == "pilot")
        if told == "stopping" and "lost" in states:
            return None  # a keeper makes sure that nothing is left of a run that died unwatched
        assert told in states, f"status says {told}"
        return campaign if any(f"pilot {sign}" in dashboard for sign in SIGNS[told]) else None

    return wait_until(seen, 5, f"the dashboard's word for {' or '.join(states)}")


def screen(scene: Scene, width: int = 120, height: int = 40) -> str:
    """The dashboard at this moment, as text."""
    view = View(scene.service.poll(), campaign="demo", now=time.time())
    log = tuple(line.text for line in LogFile(scene.run / "run.log").last(height))
    drawn = draw(view, log, width, height)
    parts = (drawn.header, drawn.stages, drawn.table, drawn.facts, drawn.next, drawn.log, drawn.footer)
    return "\n".join("".join(cell.shown for cell in line) for part in parts for line in part)


def is_harmless(text: str) -> bool:
    """Whether a terminal would only print it: no controls but line breaks, nothing that hides or reorders."""
    return not any(unicodedata.category(sign) in ("Cc", "Cf", "Cs") for sign in text if sign != "\n")


def the_money_is_right(scene: Scene, campaign: dict[str, Any]) -> None:
    """Charged is the time by the test's own clock: never more, and less only by what nobody could see.

    A viewer that looked all along and one that came just now (`campaign`) say the same.
    """
    run = next(run for run in campaign["runs"] if run["name"] == "pilot")
    cost, unseen = run["cost_usd"], SLACK_S + 0.5 + scene.losses * UNSEEN_S
    charged, least, most = cost / USD_PER_SECOND, scene.watch.least - unseen, scene.watch.most + SLACK_S
    assert least <= charged <= most, f"charged {charged:.3f} s, but it was {least:.3f} to {most:.3f}"
    watched = scene.picture()
    assert abs(watched.cost_usd - cost) < NEGLIGIBLE, f"one viewer says {cost} USD, another {watched.cost_usd}"
    assert abs(watched.active_s - charged) < SLACK_S, f"{watched.active_s} s cost {cost} USD"
    assert abs(campaign["budget"]["spent_usd"] - cost) < NEGLIGIBLE
