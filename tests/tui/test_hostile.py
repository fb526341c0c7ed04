"""Text that nobody vouches for: in every field of a snapshot and in the log it is shown as text, or not at all."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import RefusedError
from engine.report.samples import Sample
from engine.snapshot import IdleCountdown, LoggedAction
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.screens.confirm import UnderWayScreen
from tui.screens.dialog import NoticeScreen
from tui.screens.edit import EditScreen
from tui.screens.samples import SamplesScreen

MIXED = " ".join(
    (
        "[/] [@click=app.quit]x[/] [INFO] [link=http://x]y [bold",
        "\u202eevil\u202c \u2066x\u2069 \u200b \x00\x08\x7f",
        "\x1b[2J\x1b[31mred \x1bc \x9b2J",
        "\x9d0;owned\x9c \x1b]52;c;b3duZWQ=\x07 \x1b]0;owned\x07",
    )
)
HOSTILE = (MIXED, "two\nlines\r\nand a \rreturn\ttab", "wide 漢字 \U0001f600 \ud800 " + "long " * 400)
KINDS = ("mixed", "breaks", "wide")
FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
CLOSED_SETS = {"state", "kind", "verdict", "op", "started", "ended", "metric"}


def poisoned(value: Any, text: str, key: str = "") -> Any:
    """`value` with every free string in it replaced by `text`; what is one of a closed set stays."""
    if isinstance(value, str):
        return value if key in CLOSED_SETS else text
    if isinstance(value, tuple):
        return tuple(poisoned(item, text, key) for item in value)
    if isinstance(value, dict):
        return {name: poisoned(item, text, key) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: poisoned(getattr(value, field.name), text, field.name) for field in fields(value)}
        return replace(value, **changed)
    return value


def poisoned_story(text: str) -> Any:
    """Pilot and iteration with `text` everywhere; runs keep different names."""
    warned = pictures.live_run(
        warnings=("warned",),
        author="kim",
        gate=replace(pictures.LIVE_GATE, forecast=0.14, detectors=(replace(pictures.SUSPECT, marked_true=7),)),
        gradings=(pictures.GRADED,),
        stalled="stalled",
        synced="when",
        sync_error="no route",
        actions=(LoggedAction("when", "kim", "asked to stop it", pending=True),),
    )
    held = pictures.run(saved_usd=1.1, gpu_held=True, gpu_held_by=("pid 1 (x)",))
    engine = pictures.engine(
        warnings=("warned",),
        loading="weights 5%",
        reason="why",
        gpu_held_by=("pid 1 (x)",),
        actions=(LoggedAction("when", "kim", "started it"),),
        fits=False,
    )
    idle = IdleCountdown("counting", "since", "due", ("stop", "pod"), "kim", "detail")
    whole = pictures.snapshot(pictures.campaign(held, warned, next=pictures.EDITABLE, warnings=("w",), idle=idle))
    story = poisoned(replace(whole, campaigns=(replace(whole.campaigns[0], engines=(engine,)),)), text)
    campaign = story.campaigns[0]
    gpu = pictures.gpu(name=text, uuid=text)
    model = pictures.CAMPAIGN.model_copy(
        update={"name": text, "model": pictures.CAMPAIGN.model.model_copy(update={"path": f"/{text}"})}
    )
    changes = {text: (text, [text])}
    known = {"response.stop": ((), (text,)), "seed": (text, 43)}
    proposed = pictures.ITERATION.model_copy(
        update={"response": pictures.ITERATION.response.model_copy(update={"stop": (text,)})}
    )
    why = {text: text, "response.stop": text}
    action = replace(campaign.next, changes={**changes, **known}, why=why, numbers={text: text}, parameters=proposed)
    runs = tuple(replace(run, name=f"{number}{text}") for number, run in enumerate(campaign.runs))
    runs = tuple(replace(run, gpus=(gpu,)) for run in runs)
    engine = replace(campaign.engine, gpus=(gpu,))
    return replace(story, campaigns=(replace(campaign, runs=runs, campaign=model, next=action, engines=(engine,)),))


def assert_only_text(screen: Screen) -> None:
    """Nothing on the terminal is a control or reorders what stands beside it, and no markup was taken as such."""
    strips = screen.app.screen._compositor.render_strips()
    for strip in strips:
        for segment in strip:
            assert not segment.control
            assert not FORBIDDEN.search(segment.text), repr(segment.text)
            meta = segment.style.meta if segment.style else {}
            assert "@click" not in meta
            assert not (segment.style and segment.style.link)


@pytest.mark.parametrize("text", HOSTILE, ids=KINDS)
async def test_hostile_text_in_every_field_is_only_text(text: str, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_bytes(text.encode("utf-8", "replace") + b"\n\x9b2J raw \xff bytes\n" + text.encode("utf-16", "replace"))
    story = poisoned_story(text)
    campaign = story.campaigns[0]
    runs = tuple(replace(run, log=str(log)) for run in campaign.runs)
    service = pictures.FakeService(replace(story, campaigns=(replace(campaign, runs=runs),)), tmp_path)
    async with opened(service, (120, 50)) as screen:
        await screen.until(lambda: "raw" in screen.text)
        assert_only_text(screen)
        engine = (("e",), ("l",), ("escape",), ("s",), ("n",), ("escape",))
        pages = (("h",), ("escape",), ("c",), ("escape",), *engine, ("l",))
        for keys in (("left",), ("enter",), ("escape",), ("right", "s"), ("escape",), *pages):
            await screen.press(*keys)
            assert_only_text(screen)
        await screen.press("G", "g", "right", "escape", "enter", "e")
        assert isinstance(screen.app.screen, EditScreen)
        assert_only_text(screen)
        await screen.press("down", "x", "down", "x", "escape", "ctrl+p")
        await screen.pilot.pause(0.2)
        assert_only_text(screen)


@pytest.mark.parametrize("text", HOSTILE, ids=KINDS)
@pytest.mark.parametrize("size", [(60, 16), (80, 24), (200, 50)])
async def test_hostile_text_of_an_engine_that_starts_fails_or_is_planned_is_only_text(
    text: str, size: tuple[int, int]
) -> None:
    service = pictures.FakeService(poisoned_story(text))
    campaign = service.snapshot.campaigns[0]
    service.plan = replace(pictures.PLAN, sentence=text)
    async with opened(service, size) as screen:
        for changes in ({"state": "starting", "ready": None, "figures": None}, {"state": "failed", "gpu_held": False}):
            engine = replace(campaign.engine, fits=True, **changes)
            service.snapshot = replace(service.snapshot, campaigns=(replace(campaign, engines=(engine,), runs=()),))
            await screen.until(lambda engine=engine: screen.app.view.engine == engine)
            assert "Engine" in screen.text
            assert_only_text(screen)
            await screen.press("e")
            assert_only_text(screen)
            await screen.press("escape")
        await screen.press("e", "s")
        await screen.until(lambda: isinstance(screen.app.screen, UnderWayScreen))
        assert_only_text(screen)


@pytest.mark.parametrize("text", HOSTILE, ids=KINDS)
async def test_hostile_text_in_errors_progress_and_notices_is_only_text(text: str) -> None:
    service = pictures.FakeService(pictures.snapshot(pictures.campaign(pictures.run(), next=pictures.ITERATE)))
    service.refuse = RefusedError(text, where=text, remedy=text)
    async with opened(service) as screen:
        await screen.press("enter", "y")
        await screen.until(lambda: isinstance(screen.app.screen, NoticeScreen))
        assert_only_text(screen)
        await screen.press("enter")
        screen.app.say(text, severity="warning")
        await screen.pilot.pause(0.2)
        assert_only_text(screen)


@pytest.mark.parametrize("text", HOSTILE, ids=KINDS)
async def test_hostile_text_in_a_broken_campaign_and_in_the_picker_is_only_text(text: str) -> None:
    broken = pictures.campaign(campaign=None, budget=None, next=None, state="broken", error=text, file=text)
    both = pictures.snapshot(replace(broken, name=text), replace(broken, name=f"other {text}"))
    service = pictures.FakeService(both)
    async with opened(service) as screen:
        await screen.until(lambda: len(screen.app.screen_stack) == 3)
        assert_only_text(screen)
        await screen.press("down", "enter")
        assert_only_text(screen)
        service.poll_error = ValueError(text)
        await screen.until(lambda: screen.app.feed.problem)
        screen.app.feed.fresh_at -= 10
        await screen.until(lambda: "old" in screen.text)
        assert_only_text(screen)


def hostile_samples(text: str) -> list[Sample]:
    """Records of which every field is `text` or of a type that nobody expects; the span is marked in the middle."""
    words = dict.fromkeys(("outcome", "instruction", "response", "finish_reason", text), text)
    raw = f"{text}{text}{text}"
    critic = {"good": True, "confident": text, "label": text, "margin": float("nan")}
    record = {
        **words,
        "raw_response": raw,
        "pair_critic": critic,
        "instruction_critic": text,
        "generated_tokens": 1e400,
    }
    spans = {"runaway": [("raw_response", len(text), 2 * len(text))], text: []}
    flags = {"runaway": True, text: True}
    nothing = dict.fromkeys(("outcome", "instruction", "response", "raw_response", "finish_reason"))
    odd = {**nothing, "pair_critic": {"good": True, "margin": 10**400}, "generated_tokens": -1}
    return [
        pictures.sample(1, record=record, flags=flags, spans=spans),
        pictures.sample(2, record=odd, spans={"runaway": []}),
        pictures.sample(
            3, record={"raw_response": text, "response": text}, spans={"runaway": [("raw_response", 0, 9)]}
        ),
    ]


@pytest.mark.parametrize("text", HOSTILE, ids=KINDS)
@pytest.mark.parametrize("size", [(60, 16), (80, 24), (200, 50)])
async def test_hostile_samples_are_only_text(text: str, size: tuple[int, int]) -> None:
    service = pictures.FakeService(poisoned_story(text))
    service.records = hostile_samples(text)
    async with opened(service, size) as screen:
        await screen.press("f")
        samples = screen.app.screen
        assert isinstance(samples, SamplesScreen)
        await screen.until(lambda: "#1" in samples.text)
        assert_only_text(screen)
        assert "⟦" in samples.text
        assert "⟧" in samples.text
        for key in ("pagedown", "n", "n", "t", "m"):
            await screen.press(key)
            assert_only_text(screen)
        service.refuse = RefusedError(text, where=text, remedy=text)
        await screen.until(lambda: samples.sample is not None)
        await screen.press("x")
        await screen.until(lambda: "not marked:" in samples.text)
        assert_only_text(screen)
        service.read_error = RefusedError(text, where=text, remedy=text)
        await screen.press("r")
        await screen.until(lambda: "to do:" in samples.text)
        assert_only_text(screen)
