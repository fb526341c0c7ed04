"""The engine's dialog: all that is known of it, and starting and stopping it, which ask first."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.models import Campaign
from engine.errors import RefusedError
from engine.report.engine import figures_text
from engine.snapshot import CampaignSnapshot, EngineSnapshot, LoggedAction, RunSnapshot
from engine.warm import EnginePlan
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.actions import BY_ID
from tui.screens.confirm import ConfirmScreen, StopScreen, UnderWayScreen
from tui.screens.dialog import NoticeScreen
from tui.screens.engine import EngineScreen, choices_of
from tui.screens.log import LogScreen
from tui.view import View

SIZES = [(80, 24), (120, 40), (200, 50)]
ENDED = "2027-01-15T08:10:53Z"


def config(**changes: Any) -> Campaign:
    """The campaign's file with other values in it."""
    return pictures.CAMPAIGN.model_copy(update=changes)


KEEPS = config(engine=pictures.CAMPAIGN.engine.model_copy(update={"keep_warm": True}))
ON_THE_CPU = config(model=pictures.CAMPAIGN.model.model_copy(update={"backend": "ctranslate2"}))
A_PROGRAM = config(generator=pictures.CAMPAIGN.generator.model_copy(update={"kind": "command", "argv": ("x",)}))


def campaign(engine: EngineSnapshot | None, *runs: RunSnapshot, **changes: Any) -> CampaignSnapshot:
    return pictures.campaign(pictures.run(), *runs, **{"engine": engine, "campaign": KEEPS, **changes})


def service_with(engine: EngineSnapshot | None, *runs: RunSnapshot, **changes: Any) -> pictures.FakeService:
    return pictures.FakeService(pictures.snapshot(campaign(engine, *runs, **changes)))


def on_top(screen: Screen, kind: type) -> bool:
    return isinstance(screen.app.screen, kind)


def one_line(screen: Screen) -> str:
    return " ".join(screen.dialog().text.split())


# --- its state -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_e_shows_all_that_is_known_of_the_engine(size: tuple[int, int]) -> None:
    engine = pictures.engine(
        fits=False,
        warnings=("its keeper is suspended",),
        actions=(LoggedAction("2027-01-15T07:30:51Z", "kim@pod-7", "started it"),),
    )
    async with opened(service_with(engine), size) as screen:
        await screen.press("e")
        text = one_line(screen)
        for words in (
            "Engine · stage1/engine-1",
            "● ready, used by iteration-1",
            "model Qwen/Qwen2.5-32B",
            *figures_text(pictures.FIGURES).split(" · "),
            "gpu0 H200 93 %",
            "61.2 of 140.4 GiB",
            "512 W",
            "up for 42:10, 84 s of it to start",
            "$2.11 so far, $3.00/h",
            "stops when idle for 30 min",
            "artifacts/stage1/engine-1/run.log",
            "kim@pod-7 started it",
            "⚠ its keeper is suspended",
            "⚠ the campaign asks for another model or other options now: the next launch replaces it",
        ):
            assert words in text
        await screen.press("e")
        assert screen.app.screen is screen.dashboard


@pytest.mark.parametrize("size", [(60, 16), *SIZES])
async def test_its_choices_are_in_sight_at_every_size_and_what_is_longer_scrolls(size: tuple[int, int]) -> None:
    engine = pictures.engine(gpus=tuple(pictures.gpu(number) for number in range(8)), warnings=("w " * 99, "the end"))
    async with opened(service_with(engine), size) as screen:
        await screen.press("e")
        for words in ("close (esc)", "stop (s)", "log (l)"):
            assert words in screen.painted
        if "the end" not in screen.painted:
            assert "scroll" in screen.painted
        await screen.press("pagedown", "pagedown", "pagedown", "down")
        assert "the end" in screen.painted


async def test_it_stays_up_to_date_while_it_is_open() -> None:
    service = service_with(pictures.starting(attached=()))
    async with opened(service) as screen:
        await screen.press("e")
        assert "weights 40 %" in screen.painted
        assert "up for 1:12" in screen.painted
        service.snapshot = pictures.snapshot(campaign(pictures.starting(attached=(), loading="weights 80%")))
        await screen.until(lambda: "weights 80 %" in screen.painted)
        service.snapshot = pictures.snapshot(campaign(pictures.idling()))
        await screen.until(lambda: "● ready, idle for 1:48" in screen.painted)
        assert "in 28:12 unless it is used" in screen.painted
        screen.app._clock = lambda: pictures.NOW + 2
        await screen.until(lambda: "in 28:10 unless it is used" in screen.painted)
        gone = pictures.engine(state="stopped", ended=ENDED, reason="stopped by ann", attached=(), gpus=())
        service.snapshot = pictures.snapshot(campaign(gone))
        await screen.until(lambda: "start (s)" in screen.painted)
        assert "■ stopped by ann" in screen.painted
        assert "was up for 42:10, 84 s of it to start" in screen.painted
        assert "/h" not in one_line(screen)


async def test_where_there_never_was_one_it_says_what_keeping_one_means() -> None:
    async with opened(service_with(None)) as screen:
        await screen.press("e")
        assert "stage1 has no kept engine: `pilothouse engine start stage1` starts one" in one_line(screen)
        assert "It costs $3.00/h for each GPU all the while, and stops when idle for 30 min." in one_line(screen)
        assert "log (l)" not in screen.painted


@pytest.mark.parametrize(
    ("engine", "offered"),
    [
        (None, ["close", "start"]),
        (pictures.engine(), ["close", "stop", "log"]),
        (pictures.starting(), ["close", "stop", "log"]),
        (pictures.engine(fits=False), ["close", "stop", "log"]),
        (pictures.idling(fits=False), ["close", "stop", "start", "log"]),
        (pictures.engine(state="failed", ended=ENDED), ["close", "start", "log"]),
        (pictures.engine(state="stopped", ended=ENDED, gpu_held=True), ["close", "stop", "log"]),
    ],
    ids=["none", "in use", "starting", "does not fit, in use", "does not fit", "failed", "held"],
)
def test_what_is_offered_fits_the_state(engine: EngineSnapshot | None, offered: list[str]) -> None:
    view = View(snapshot=pictures.snapshot(campaign(engine)), campaign="stage1", now=pictures.NOW)
    assert [name for name, _ in choices_of(view)] == offered


async def test_enter_does_no_harm_and_the_arrows_choose() -> None:
    service = service_with(pictures.idling())
    async with opened(service) as screen:
        await screen.press("e", "enter")
        assert screen.app.screen is screen.dashboard
        await screen.press("e", "right", "enter")
        assert on_top(screen, StopScreen)
        await screen.press("enter")
        assert on_top(screen, EngineScreen)
        await screen.press("left", "enter")
        assert screen.app.screen is screen.dashboard
        assert service.calls == []


async def test_what_was_chosen_and_is_no_longer_possible_is_not_done() -> None:
    service = service_with(pictures.idling())
    async with opened(service) as screen:
        await screen.press("e", "right")
        assert "▸ stop (s) ◂" in screen.painted
        service.snapshot = pictures.snapshot(campaign(pictures.engine(state="stopped", ended=ENDED)))
        await screen.until(lambda: "start (s)" in screen.painted)
        assert "▸ close (esc) ◂" in screen.painted
        await screen.press("enter")
        assert screen.app.screen is screen.dashboard


async def test_a_choice_can_be_clicked() -> None:
    async with opened(service_with(pictures.idling())) as screen:
        await screen.press("e")
        row = next(number for number, line in enumerate(screen.painted.splitlines()) if "stop (s)" in line)
        await screen.pilot.click(offset=(screen.painted.splitlines()[row].index("stop (s)"), row))
        await screen.until(lambda: on_top(screen, StopScreen))


async def test_l_opens_its_log_and_back_leads_to_the_dialog(tmp_path: Path) -> None:
    engine = pictures.engine()
    path = tmp_path / engine.log
    path.parent.mkdir(parents=True)
    path.write_text("INFO: loading the model\n")
    service = pictures.FakeService(pictures.snapshot(campaign(engine)), tmp_path)
    async with opened(service) as screen:
        await screen.press("e", "l")
        await screen.until(lambda: on_top(screen, LogScreen))
        await screen.until(lambda: "INFO: loading the model" in screen.painted)
        assert "stage1/engine-1 · run.log" in screen.painted
        assert "● follows" in screen.painted
        await screen.press("escape")
        assert on_top(screen, EngineScreen)
        assert "used by iteration-1" in screen.painted


# --- start ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_a_start_asks_with_the_plan_its_cost_and_the_command(size: tuple[int, int]) -> None:
    service = service_with(None)
    async with opened(service, size) as screen:
        await screen.press("e", "s")
        await screen.until(lambda: on_top(screen, UnderWayScreen))
        text = one_line(screen)
        assert "This starts an engine: about 2 min and $0.08 until it answers." in text
        assert "It then costs $3.00/h and stops when idle for 30 min." in text
        assert "pilothouse engine start stage1" in text
        assert "$294.70 of $300.00 left" in text
        assert "no (n)" in screen.painted
        assert "has no kept engine" not in screen.painted, "one box at a time"
        await screen.press("enter")
        assert on_top(screen, EngineScreen)
        assert "has no kept engine" in screen.painted
        assert service.calls == []


async def test_a_start_shows_its_steps_until_its_keeper_has_it() -> None:
    service = service_with(None)
    service.start_may_end.clear()
    async with opened(service) as screen:
        await screen.press("e", "s")
        await screen.until(lambda: on_top(screen, UnderWayScreen))
        await screen.press("y")
        await screen.until(lambda: "stage1/engine-2 starts" in screen.painted)
        assert "✓" not in screen.dialog().text
        assert "start an engine for stage1 …" in screen.text, "the header says what is under way"
        service.start_may_end.set()
        await screen.until(lambda: "✓ stage1/engine-2 was started" in screen.dialog().text)
        assert service.calls == [("start_engine", "stage1")]
        await screen.press("enter")
        assert on_top(screen, EngineScreen)


async def test_leaving_the_dialog_does_not_call_the_start_off() -> None:
    service = service_with(None)
    service.start_may_end.clear()
    async with opened(service) as screen:
        await screen.press("e", "s")
        await screen.until(lambda: on_top(screen, UnderWayScreen))
        await screen.press("y")
        await screen.until(lambda: service.calls)
        assert "the start goes on" in screen.painted
        await screen.press("escape", "escape")
        assert screen.app.screen is screen.dashboard
        service.start_may_end.set()
        await screen.until(lambda: any("engine-2 was started" in note.message for note in screen.app._notifications))


async def test_a_start_that_fails_says_what_where_and_what_to_do() -> None:
    service = service_with(None)
    service.refuse = RefusedError("GPU 0 is held by others", where="/tmp/claims/GPU-0", remedy="wait, or ask them")
    async with opened(service) as screen:
        await screen.press("e", "s")
        await screen.until(lambda: on_top(screen, UnderWayScreen))
        await screen.press("y")
        await screen.until(lambda: "GPU 0 is held by others" in screen.dialog().text)
        assert "where: /tmp/claims/GPU-0" in screen.dialog().text
        assert "to do: wait, or ask them" in screen.dialog().text
        assert "✓" not in screen.dialog().text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RefusedError("this goes over the budget", remedy="raise limit_usd"), "this goes over the budget"),
        (ZeroDivisionError("oops"), "ZeroDivisionError: oops"),
    ],
)
async def test_a_start_that_is_refused_is_not_asked_for(error: Exception, said: str) -> None:
    service = service_with(None)
    service.plan_error = error
    async with opened(service) as screen:
        await screen.press("e", "s")
        await screen.until(lambda: on_top(screen, NoticeScreen))
        assert said in screen.dialog().text
        await screen.press("enter")
        assert on_top(screen, EngineScreen)
        assert "working out" not in screen.painted
        assert service.calls == []


async def test_where_somebody_else_started_it_meanwhile_nothing_is_asked() -> None:
    service = service_with(None)
    service.plan = EnginePlan("attach", "attaches to engine-1, which is up")
    async with opened(service) as screen:
        await screen.press("e", "s")
        await screen.until(lambda: on_top(screen, NoticeScreen))
        assert "There is nothing to start" in screen.dialog().text
        assert "engine-1, which is up" in one_line(screen)


async def test_r_replaces_one_that_serves_something_else() -> None:
    service = service_with(pictures.idling(fits=False))
    sentence = "stops engine-1 and starts another (max_model_len 2048 → 4096): about 2 min and $0.08 until it answers"
    service.plan = EnginePlan("replace", sentence, 90.0, 0.075)
    async with opened(service) as screen:
        await screen.press("e", "r")
        await screen.until(lambda: on_top(screen, UnderWayScreen))
        assert f"This {sentence}." in one_line(screen)
        assert "yes, replace it (y)" in screen.painted
        await screen.press("y")
        await screen.until(lambda: service.calls == [("start_engine", "stage1")])


async def test_who_leaves_while_the_cost_is_worked_out_is_not_asked() -> None:
    service = service_with(None)
    asked, may_answer = threading.Event(), threading.Event()

    def slow(_: str) -> EnginePlan:
        asked.set()
        assert may_answer.wait(20)
        return pictures.PLAN

    service.plan_engine = slow  # type: ignore[method-assign]
    async with opened(service) as screen:
        await screen.press("e", "s")
        await screen.until(asked.is_set)
        assert "working out what a start takes" in screen.painted
        await screen.press("escape")
        arrived = threading.Event()
        plan_arrived = screen.app.operations.engine.plan_arrived

        def noticed(message: Any) -> None:
            plan_arrived(message)
            arrived.set()

        screen.app.operations.engine.plan_arrived = noticed  # type: ignore[method-assign]
        may_answer.set()
        await screen.until(arrived.is_set)
        assert screen.app.screen is screen.dashboard


# --- stop ----------------------------------------------------------------------------------------------------------


async def test_a_stop_asks_and_shows_its_progress_until_it_is_verified() -> None:
    service = service_with(pictures.idling())
    service.stop_may_end.clear()
    async with opened(service) as screen:
        await screen.press("e", "s")
        assert "pilothouse engine stop stage1" in screen.dialog().text
        assert "--now" not in screen.dialog().text
        assert "has to load the model again, which took 84 s" in one_line(screen)
        await screen.press("y")
        await screen.until(lambda: "SIGINT sent to 5 processes" in screen.dialog().text)
        assert "verified" not in screen.dialog().text
        service.stop_may_end.set()
        await screen.until(lambda: "✓ verified: stage1/engine-1 is stopped" in screen.dialog().text)
        assert service.calls == [("stop_engine", "stage1", False)]


@pytest.mark.parametrize("size", SIZES)
async def test_an_engine_in_use_can_only_be_stopped_now_and_it_is_said_from_under_whom(size: tuple[int, int]) -> None:
    service = service_with(pictures.engine(attached=("iteration-1",)))
    async with opened(service, size) as screen:
        await screen.press("e", "s")
        text = one_line(screen)
        assert "iteration-1 uses it." in text
        assert "takes it away from under the run, which then fails" in text
        assert "pilothouse engine stop stage1 --now" in text
        await screen.press("enter")
        assert service.calls == [], "no is the default"
        await screen.press("s", "y")
        await screen.until(lambda: service.calls == [("stop_engine", "stage1", True)])


async def test_a_stop_that_is_refused_because_a_run_attached_meanwhile_says_so() -> None:
    service = service_with(pictures.idling())
    service.refuse = RefusedError(
        "stage1/engine-1 is used by iteration-2", remedy="`pilothouse stop stage1/iteration-2` first, or --now"
    )
    async with opened(service) as screen:
        await screen.press("e", "s", "y")
        await screen.until(lambda: "stage1/engine-1 is used by iteration-2" in screen.dialog().text)
        assert "`pilothouse stop stage1/iteration-2` first, or --now" in one_line(screen)
        assert "verified" not in screen.dialog().text


# --- when it is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "busy", "why"),
    [
        (campaign(None), "", None),
        (campaign(pictures.engine()), "", None),
        (campaign(None, campaign=ON_THE_CPU), "", "its backend is ctranslate2, not vllm"),
        (campaign(None, campaign=A_PROGRAM), "", "a program of its own"),
        (campaign(None, campaign=None, error="broken"), "", "its file cannot be used"),
        (campaign(pictures.engine(), campaign=None, error="broken"), "", None),
        (campaign(pictures.engine(), campaign=ON_THE_CPU), "", None),
        (campaign(pictures.engine(state="stopped", ended=ENDED), campaign=ON_THE_CPU), "", "not vllm"),
        (campaign(pictures.engine()), "stop iteration-1", "wait until this is done: stop iteration-1"),
        (None, "", "no campaign is open"),
    ],
)
def test_it_is_refused_in_words(current: CampaignSnapshot | None, busy: str, why: str | None) -> None:
    picture = pictures.snapshot(*([current] if current is not None else []))
    refusal = BY_ID["engine"].refusal(View(snapshot=picture, campaign="stage1", busy=busy))
    assert refusal is None if why is None else why in (refusal or "")


async def test_an_engine_can_be_stopped_though_the_campaigns_file_is_broken() -> None:
    broken = {"campaign": None, "budget": None, "next": None, "state": "broken", "error": "unknown key 'x'"}
    service = service_with(pictures.idling(), **broken)
    async with opened(service) as screen:
        assert "Engine ● ready · idle 1:48" in screen.painted
        await screen.press("e", "s", "y")
        await screen.until(lambda: service.calls == [("stop_engine", "stage1", False)])


async def test_one_call_at_a_time() -> None:
    service = service_with(pictures.idling(), pictures.live_run())
    service.stop_may_end.clear()
    async with opened(service) as screen:
        await screen.press("s", "y")
        await screen.until(lambda: service.calls)
        await screen.press("escape", "e")
        assert screen.app.screen is screen.dashboard
        assert any("wait until this is done" in note.message for note in screen.app._notifications)
        service.stop_may_end.set()
        await screen.until(lambda: not screen.app.operations.calls.busy)


async def test_the_palette_and_the_footer_offer_it_where_it_is_possible() -> None:
    async with opened(service_with(None)) as screen:
        titles = [command.title for command in screen.app.get_system_commands(screen.app.screen)]
        assert "engine" in titles
        assert "e engine" in screen.painted
    async with opened(service_with(None, campaign=ON_THE_CPU)) as screen:
        titles = [command.title for command in screen.app.get_system_commands(screen.app.screen)]
        assert "engine" not in titles
        assert "e engine" not in screen.painted


# --- what a launch makes of it -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "file", "said"),
    [
        (pictures.idling(), KEEPS, "engine: uses engine-1, which is ready"),
        (pictures.idling(), pictures.CAMPAIGN, "engine: uses engine-1, which is ready"),
        (pictures.starting(), KEEPS, "engine: waits for engine-1, which is starting (weights 40 %)"),
        (None, KEEPS, "engine: starts one, which stays for the next runs and stops when idle for 30 min"),
        (pictures.engine(state="failed", ended=ENDED), KEEPS, "engine: starts one, which stays"),
        (pictures.idling(state="stopping"), KEEPS, "engine: starts one, which stays"),
        (pictures.idling(fits=False), KEEPS, "engine: stops engine-1, which serves something else, and starts another"),
        (pictures.engine(fits=False), KEEPS, "serves something else and iteration-1 uses it: refused until that ends"),
        (None, pictures.CAMPAIGN, None),
        (pictures.idling(fits=False), pictures.CAMPAIGN, None),
        (None, config(model=ON_THE_CPU.model, engine=KEEPS.engine), None),
    ],
)
async def test_the_question_before_a_launch_says_what_becomes_of_the_engine(
    engine: EngineSnapshot | None, file: Campaign, said: str | None
) -> None:
    async with opened(service_with(engine, campaign=file)) as screen:
        await screen.press("enter")
        assert on_top(screen, ConfirmScreen)
        assert said in one_line(screen) if said else "engine:" not in one_line(screen)


async def test_so_do_the_questions_before_a_restart_and_an_extension() -> None:
    stopped = pictures.live_run(state="stopped", ended=ENDED)
    async with opened(service_with(None, stopped)) as screen:
        await screen.press("r")
        await screen.until(lambda: on_top(screen, ConfirmScreen))
        assert "engine: starts one" in one_line(screen)
        await screen.press("n", "x", "enter")
        await screen.until(lambda: on_top(screen, ConfirmScreen))
        assert "engine: starts one" in one_line(screen)
    other = replace(stopped, model="Qwen/Qwen2.5-7B")
    async with opened(service_with(None, other)) as screen:
        await screen.press("r")
        await screen.until(lambda: on_top(screen, ConfirmScreen))
        assert "engine:" not in one_line(screen), "its model is another than the campaign's: that is not known here"


async def test_the_picker_names_campaigns_whose_engine_costs_money() -> None:
    idle = pictures.campaign(pictures.run(), name="other", engine=pictures.idling())
    starts = pictures.campaign(pictures.run(), name="third", engine=pictures.starting())
    over = pictures.campaign(pictures.run(), engine=pictures.engine(state="stopped", ended=ENDED))
    service = pictures.FakeService(pictures.snapshot(over, idle, starts))
    async with opened(service, campaign="stage1") as screen:
        await screen.press("a")
        lines = {line.split()[0]: line for line in screen.dialog().text.replace("▸", " ").splitlines() if line.strip()}
        assert "● engine up" in lines["other"]
        assert "● engine up" in lines["third"]
        assert "…" not in screen.dialog().text
        assert "engine" not in lines["stage1"]
