"""The kept engine and what engines and GPUs do, on the dashboard."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from engine.figures import EngineFigures
from engine.snapshot import EngineSnapshot, RunSnapshot, Snapshot
from tests.tui import pictures
from tests.tui.driving import opened
from tui.cells import Line, plain
from tui.panels.arrange import PARTS, Drawn, draw
from tui.panels.figures import figures_line
from tui.panels.gpus import compact, gpu_lines, short_name
from tui.panels.states import engine_look
from tui.view import View
from tui.widgets.cell_lines import CellLines

SIZES = [(80, 24), (120, 40), (200, 50)]
LEAST = (60, 16)
LOG = ("2027-01-15 08:12:01,000 INFO kept 61 of 100",) * 9
ENDED = "2027-01-15T08:10:53Z"
HOLDER = "pid 4711 (VLLM::EngineCor) on GPU 0 with 122.0 GiB"
WHY = "ValueError: Free memory on device cuda:0 (12.1/140.4 GiB) is less than what is asked for (126.3 GiB)"


def attached(**changes: Any) -> RunSnapshot:
    return pictures.live_run(
        **{"engine": "engine-1", "figures": pictures.FIGURES, "gpus": (pictures.gpu(),), **changes}
    )


def coming_up(**changes: Any) -> RunSnapshot:
    """The run that waits for the engine of `pictures.starting`."""
    values = {"state": "starting", "phase": "loading", "loading": "engine-1: weights 40%", "figures": None}
    return attached(**{**values, "examples_per_second": None, "active_s": 72.0, **changes})


def story(engine: EngineSnapshot | None, *runs: RunSnapshot, **changes: Any) -> Snapshot:
    whole = pictures.campaign(pictures.run(), *runs, **{"next": pictures.WAIT, "engine": engine, **changes})
    return replace(pictures.snapshot(whole), devices=(pictures.gpu().uuid,))


BUSY = story(pictures.engine(), attached())
STARTING = story(pictures.starting(), coming_up())
IDLE = story(pictures.idling(), pictures.live_run(state="succeeded", ended=ENDED), next=pictures.ITERATE)
EIGHT = story(pictures.engine(gpus=tuple(pictures.gpu(n, utilisation=90.0 + n) for n in range(8))), attached())
FAILED = story(pictures.engine(state="failed", ended=ENDED, reason=WHY, figures=None, gpus=()))
HELD = story(
    pictures.engine(state="stopped", ended=ENDED, reason="stopped by kim", gpu_held=True, gpu_held_by=(HOLDER,))
)
STORIES = {"busy": BUSY, "starting": STARTING, "idle": IDLE, "eight": EIGHT, "failed": FAILED, "held": HELD}


def view_of(picture: Snapshot, **changes: Any) -> View:
    return replace(View(snapshot=picture, campaign="stage1", now=pictures.NOW), **changes)


def drawn(picture: Snapshot, size: tuple[int, int], **changes: Any) -> Drawn:
    """The dashboard, once it is sure that it fits."""
    found = draw(view_of(picture, **changes), LOG, *size)
    lines = [line for part in PARTS for line in getattr(found, part)]
    assert len(lines) <= size[1]
    assert max(cell_len("".join(cell.shown for cell in line)) for line in lines) <= size[0]
    return found


def text_of(picture: Snapshot, size: tuple[int, int]) -> str:
    found = drawn(picture, size)
    return "\n".join(plain(getattr(found, part)) for part in PARTS)


def band(picture: Snapshot, size: tuple[int, int], **changes: Any) -> list[str]:
    """The lines from the engine's title on."""
    lines = plain(drawn(picture, size, **changes).facts).splitlines()
    place = next((n for n, line in enumerate(lines) if line.startswith(("── Engine", "── GPU"))), len(lines))
    return lines[place:]


# --- it answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_an_engine_in_use_says_that_it_answers_for_whom_what_it_does_and_what_it_costs(size: tuple[int, int]) -> None:
    title, figures, *gpus = band(BUSY, size)
    assert "● ready · used by iteration-1" in title
    assert "$2.11 · $3.00/h" in title
    assert ("engine-1" in title) == (size[0] > 80)
    for words in ("6,698 tok/s", "12,004 ", "256 running", "0 waiting", "41 %", "84 %"):
        assert words in figures
    assert len(gpus) == (size[0] > 80), "the first line of the screen has it"
    if gpus:
        assert "gpu0  H200" in gpus[0]
        assert "93 %" in gpus[0]
        assert "61.2 of 140.4 GiB" in gpus[0]
        assert "512 W" in gpus[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", STORIES)
def test_it_pushes_nothing_out_that_matters(size: tuple[int, int], name: str) -> None:
    text = text_of(STORIES[name], size)
    for words in (
        "stage1 · ",
        "pilot ✗ fail",
        "pair accept",
        "Gate",
        "$4.20 of $300",
        "left $294.70",
        "Next",
        "$3.00/h",
    ):
        assert words in text
    assert "08:12:01 kept 61 of 100" in text, "a line of the log"
    assert "e engine" in text.splitlines()[-1]
    assert "q quit" in text.splitlines()[-1]


@pytest.mark.parametrize("width", [60, 75, 76, 80, 109, 110, 149, 150, 200])
@pytest.mark.parametrize("name", STORIES)
def test_every_size_is_kept(width: int, name: str) -> None:
    for height in (*range(16, 30, 2), *range(31, 60, 5)):
        text = text_of(STORIES[name], (width, height))
        assert "── Engine" in text


def test_where_it_is_lowest_the_title_alone_says_what_matters() -> None:
    (title,) = band(BUSY, LEAST)
    assert "● ready" in title
    assert "6,698 tok/s · 256 running" in title
    (title,) = band(STARTING, LEAST)
    assert "● starting · weights 40 % · 1:12" in title
    (title,) = band(IDLE, LEAST)
    assert "● ready · idle 1:48, stops in 28:12" in title
    (title,) = band(HELD, LEAST)
    assert "■ stopped, GPU memory still held by pid" in title
    (title,) = band(FAILED, LEAST)
    assert "! failed: ValueError" in title


def test_a_request_from_elsewhere_is_use_too() -> None:
    elsewhere = story(pictures.engine(attached=()))
    assert "● ready · in use" in band(elsewhere, (80, 24))[0]


# --- how far its start is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_start_shows_how_far_it_is_as_words_and_bar_and_how_long_it_has_taken(size: tuple[int, int]) -> None:
    title, loading, *_ = band(STARTING, size)
    assert "● starting · 1:12" in title
    assert "ready" not in title
    assert "weights 40 %" in loading
    done, left = loading.count("━"), loading.count("─")
    assert done / (done + left) == pytest.approx(0.4, abs=0.02)
    assert done + left > size[0] // 2
    further = story(pictures.starting(loading="CUDA graphs 75%"), coming_up())
    assert "CUDA graphs 75 %" in band(further, size)[1]


@pytest.mark.parametrize("size", SIZES)
def test_a_step_without_a_share_has_no_bar_and_no_word_at_all_no_line(size: tuple[int, int]) -> None:
    assert band(story(pictures.starting(loading="compiling", gpus=())), size)[1:] == [" compiling"]
    assert band(story(pictures.starting(loading="", gpus=())), size)[1:] == []


@pytest.mark.parametrize("size", [LEAST, *SIZES])
def test_the_stage_of_a_run_that_starts_says_how_far_its_model_is(size: tuple[int, int]) -> None:
    assert "iteration-1 ● starting 1:12, weights 40 %" in plain(drawn(STARTING, size, now=pictures.NOW).stages)
    own = story(None, coming_up(engine="", loading="downloading 20%, 12.1 of 61.0 GB", gpus=()))
    stages = plain(drawn(own, size).stages)
    assert "starting 1:12, downloading 20 %" in stages
    assert ("12.1 of 61.0 GB" in stages) == (size[0] > 80)
    assert "iteration-1 ● running 12:41 ▸" in plain(drawn(BUSY, size).stages), "once it generates that is past"
    waits = story(pictures.starting(loading=""), coming_up(loading="engine-1"))
    assert "starting 1:12, waits for engine-1" in plain(drawn(waits, size).stages)


# --- the countdown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_an_idle_engine_says_since_when_when_it_stops_and_what_it_costs(size: tuple[int, int]) -> None:
    title, *rest = band(IDLE, size)
    assert "● ready · idle 1:48, stops in 28:12" in title
    assert "$2.11 · $3.00/h" in title
    assert not any("tok/s" in line for line in rest), "nothing is done, and noughts say no more than idle does"


async def test_the_countdown_ticks_without_a_new_picture_and_ends_at_nought() -> None:
    async with opened(pictures.FakeService(IDLE)) as screen:
        assert "idle 1:48, stops in 28:12" in screen.painted
        screen.app._clock = lambda: pictures.NOW + 5
        await screen.until(lambda: "idle 1:53, stops in 28:07" in screen.painted)
        screen.app._clock = lambda: pictures.NOW + 5000
        await screen.until(lambda: "stops in 0:00" in screen.painted)


@pytest.mark.parametrize(
    ("engine", "ticks"),
    [
        (pictures.idling(), True),
        (pictures.starting(attached=()), True),
        (pictures.engine(attached=()), False),
        (pictures.engine(state="stopped", ended=ENDED), False),
        (pictures.idling(state="stopped", ended=ENDED), False),
        (None, False),
    ],
    ids=["idle", "starting", "in use", "stopped", "stopped while idle", "none"],
)
def test_time_passes_while_an_engine_counts_down_or_starts(engine: EngineSnapshot | None, ticks: bool) -> None:
    assert view_of(story(engine)).ticks is ticks


def test_damaged_times_show_no_countdown_and_break_nothing() -> None:
    odd = story(pictures.idling(idle_since="once", stops_at="later", started="x"))
    assert "● ready · idle ──" in band(odd, (80, 24))[0]
    assert "● starting ──" in band(story(pictures.starting(started="x")), (80, 24))[0]


# --- what is not known, and what is wrong --------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
def test_a_figure_that_is_not_known_is_left_out(width: int) -> None:
    assert figures_line(EngineFigures(), width) == ()
    only = plain([figures_line(EngineFigures(running=3), width)])
    assert only.split() == ["3", "running"]
    partly = plain([figures_line(EngineFigures(generation_tokens_per_s=0.0, kv_cache_usage=0.0), width)])
    assert "0 tok/s" in partly
    assert "KV cache" in partly
    assert "running" not in partly
    assert "prefix" not in partly
    assert " in" not in partly


def test_without_any_figure_there_is_no_line_of_them() -> None:
    silent = story(pictures.engine(figures=EngineFigures(), gpus=()), attached(figures=None, gpus=()))
    assert len(band(silent, (120, 40))) == 1
    assert len(band(story(pictures.engine(figures=None, gpus=())), (120, 40))) == 1


def test_narrow_lines_leave_out_what_matters_least() -> None:
    text = plain([figures_line(pictures.FIGURES, 60)])
    assert "6,698 tok/s" in text
    assert "256 running" in text
    assert "prefix" not in text
    assert "…" not in text


def test_a_gpu_whose_driver_is_silent_shows_what_is_known() -> None:
    silent = pictures.gpu(utilisation=None, power_w=None, total_bytes=0, used_bytes=0)
    (line,) = plain(gpu_lines([silent], 120, 1)).splitlines()
    assert line.split() == ["gpu0", "H200"]
    assert compact([silent], 60) == "gpu0 H200"
    unused = plain(gpu_lines([pictures.gpu(utilisation=0.0, used_bytes=0)], 120, 1))
    assert " 0 %" in unused
    assert "0.0 of 140.4 GiB" in unused


@pytest.mark.parametrize("size", SIZES)
def test_a_failed_start_says_why(size: tuple[int, int]) -> None:
    title, why, *_ = band(FAILED, size)
    assert "! failed" in title
    assert "! ValueError: Free memory on device cuda:0" in why
    assert "ready" not in title
    assert "/h" not in title, "it costs nothing any more"
    lost = story(pictures.engine(state="lost", ended=ENDED, reason="no sign of life from pod-9"))
    assert "? lost" in band(lost, size)[0]
    assert "no sign of life" in band(lost, size)[1]


@pytest.mark.parametrize("size", SIZES)
def test_held_memory_is_said_with_its_holder(size: tuple[int, int]) -> None:
    title, who, *_ = band(HELD, size)
    assert "■ stopped, GPU memory still held" in title
    assert "⚠ GPU memory still held by pid 4711 (VLLM::EngineCor) on GPU 0 with" in who


def test_a_failed_engine_is_past_once_a_run_went_on_without_it() -> None:
    failed = FAILED.campaigns[0].engine
    later = pictures.live_run(state="stopped", started="2027-01-15T08:11:00Z")
    earlier = pictures.live_run(state="failed", started="2027-01-15T08:00:00Z", engine="engine-1")
    assert band(story(failed, earlier), (80, 24))
    assert band(story(failed, replace(earlier, state="running")), (80, 24)), "its own run is about to fail, too"
    assert band(story(failed, later), (80, 24)) == []
    assert band(story(failed, pictures.live_run(engine="")), (80, 24)) == []
    assert band(story(replace(failed, gpu_held=True) if failed else None, later), (80, 24)), "what holds memory is not"


def test_an_engine_that_was_stopped_is_not_in_sight() -> None:
    for state in ("stopped", "succeeded"):
        gone = pictures.engine(state=state, ended=ENDED, reason="idle: nothing has used it for 30 min")
        assert band(story(gone), (120, 40)) == []
        assert band(story(replace(gone, state="stopping")), (120, 40)), "while it is still going it is"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fits": False}, "the campaign asks for another model or other options now: the next launch replaces it"),
        ({"keeper_alive": False}, "its keeper is gone"),
        ({"warnings": ("its keeper is suspended",)}, "its keeper is suspended"),
    ],
)
def test_what_is_wrong_with_it_is_a_sentence_or_at_least_a_sign(changes: dict[str, Any], said: str) -> None:
    wrong = story(pictures.engine(**changes), attached())
    assert f"⚠ {said}" in "\n".join(band(wrong, (120, 40)))
    assert "● ready ⚠ · used by iteration-1" in band(wrong, (80, 24))[0]
    assert "⚠" not in band(BUSY, (80, 24))[0]


def test_every_state_has_its_own_sign_and_word() -> None:
    states = ("queued", "starting", "running", "stopping", "succeeded", "failed", "stopped", "lost")
    engines = [*(pictures.engine(state=state) for state in states), pictures.engine(state="stopped", gpu_held=True)]
    looks = {engine_look(engine)[:2] for engine in engines}
    assert len(looks) == len(engines)
    assert all(sign.strip() and word.strip() for sign, word in looks)


async def test_without_colours_it_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(pictures.FakeService(BUSY)) as screen:
        assert screen.app.no_color
        assert "Engine ● ready · used by iteration-1" in screen.painted


# --- GPUs, and an engine in a run's own process --------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_the_first_line_shows_what_the_gpu_does_instead_of_its_uuid(size: tuple[int, int]) -> None:
    header = plain(drawn(BUSY, size).header)
    assert "pod-7 · gpu0 H200  93 % 61/140 GiB 512 W" in header
    assert "GPU-0f3c9a1e" not in header
    unknown = story(pictures.engine(gpus=()), attached(gpus=()))
    assert "pod-7 · GPU-0f3c9a1e-77b2" in plain(drawn(unknown, size).header)
    mixed = replace(BUSY, devices=(pictures.gpu().uuid, "cpu@pod-7"))
    assert ("cpu@pod-7" in plain(drawn(mixed, size).header)) == (size[0] > 80)


def test_several_gpus_are_summed_up_as_far_as_there_is_room() -> None:
    two = [pictures.gpu(0), pictures.gpu(1, utilisation=91.0)]
    assert compact(two, 80) == "gpu0 H200  93 % 61/140 GiB 512 W · gpu1  91 % 61/140 GiB 512 W"
    assert compact(two, 35) == "gpu0 H200  93 % · gpu1  91 %"
    assert compact(two, 20) == "2 × H200 91–93 %"
    assert compact([pictures.gpu(0, name="NVIDIA L4"), pictures.gpu(1)], 99).count("H200") == 1
    assert compact([pictures.gpu(0)], 3) == "gpu0  93 %"
    assert "8 × H200 90–97 %" in plain(drawn(EIGHT, (80, 24)).header)


def test_each_gpu_has_its_line_two_beside_each_other_where_it_is_wide_and_the_rest_is_summed_up() -> None:
    gpus = EIGHT.campaigns[0].engine.gpus if EIGHT.campaigns[0].engine else ()
    assert len(gpu_lines(gpus, 120, 8)) == 8
    wide = plain(gpu_lines(gpus, 200, 8)).splitlines()
    assert len(wide) == 4
    assert all(f"gpu{number}" in wide[number // 2] for number in range(8))
    few = plain(gpu_lines(gpus, 120, 3)).splitlines()
    assert [line.split()[0] for line in few] == ["gpu0", "gpu1", "6"]
    assert few[-1] == " 6 more GPUs: 92–97 %"
    assert gpu_lines(gpus, 120, 0) == []
    assert any("more GPUs" in line for line in band(EIGHT, (120, 40)))
    assert not any("more GPUs" in line for line in band(EIGHT, (200, 50)))


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA H200", "H200"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("Tesla T4", "T4"),
        ("", ""),
    ],
)
def test_names_of_gpus_are_shortened_to_what_tells_them_apart(name: str, short: str) -> None:
    assert short_name(name) == short


@pytest.mark.parametrize("size", SIZES)
def test_a_run_that_loads_the_model_itself_shows_the_same_figures(size: tuple[int, int]) -> None:
    own = attached(engine="", gpus=(pictures.gpu(0), pictures.gpu(1, utilisation=40.0)))
    title, figures, *gpus = band(story(None, own), size)
    assert "Engine of iteration-1 ● running" in title
    assert "6,698 tok/s" in figures
    assert len(gpus) == (0 if size[0] == 80 else 1 if size[0] == 200 else 2)
    loads = replace(own, state="starting", loading="weights 40%", figures=None)
    title, loading, *_ = band(story(None, loads), size)
    assert "Engine of iteration-1 ● starting" in title
    assert "weights 40 %" in loading
    program = replace(own, figures=None)
    assert band(story(None, program), (120, 40))[0].startswith("── GPUs of iteration-1 ● running")
    assert band(story(None, replace(own, state="succeeded")), size) == []


def test_gpus_of_other_campaigns_are_in_the_first_line_too() -> None:
    other = pictures.campaign(pictures.live_run(gpus=(pictures.gpu(1, utilisation=7.0),)), name="other")
    both = replace(BUSY, campaigns=(*BUSY.campaigns, other))
    assert "gpu1   7 %" in plain(drawn(both, (120, 40)).header)


# --- it comes and goes, and paints no more than it must ------------------------------------------------------------


async def test_an_engine_appears_and_vanishes_without_anything_else_moving_away() -> None:
    service = pictures.FakeService(story(None, pictures.live_run(state="succeeded", ended=ENDED)))
    async with opened(service) as screen:
        assert "Engine" not in screen.painted
        service.snapshot = story(pictures.starting(attached=()), pictures.live_run(state="succeeded", ended=ENDED))
        await screen.until(lambda: "Engine ● starting" in screen.painted)
        assert "weights 40 %" in screen.painted
        service.snapshot = IDLE
        await screen.until(lambda: "Engine ● ready · idle" in screen.painted)
        stopped = pictures.engine(state="stopped", ended=ENDED, gpus=(), figures=None)
        service.snapshot = story(stopped, pictures.live_run(state="succeeded", ended=ENDED))
        await screen.until(lambda: "── Engine" not in screen.painted)
        for words in ("Gate", "Budget", "Next", "Log"):
            assert f"── {words}" in screen.painted


def changed_cells(before: tuple[Line, ...], after: tuple[Line, ...]) -> list[str]:
    assert len(before) == len(after)
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert all(len(old) == len(new) for old, new in pairs)
    cells = [(a, b) for old, new in pairs for a, b in zip(old, new, strict=True) if a != b]
    assert all(cell_len(a.shown) == cell_len(b.shown) for a, b in cells), "what stands behind it keeps its place"
    return [b.shown.strip() for _, b in cells]


@pytest.mark.parametrize("size", SIZES)
def test_a_figure_that_changes_changes_its_own_cell_only(size: tuple[int, int]) -> None:
    faster = pictures.FIGURES.model_copy(update={"generation_tokens_per_s": 987.0, "running": 8})
    before, after = (drawn(story(pictures.engine(figures=f), attached()), size) for f in (pictures.FIGURES, faster))
    assert changed_cells(before.facts, after.facts) == ["987", "8"]
    assert before.header == after.header
    later = drawn(IDLE, size, now=pictures.NOW + 1)
    assert changed_cells(drawn(IDLE, size).facts, later.facts) == ["· idle 1:49", "28:11"]


async def test_only_the_facts_are_painted_again_when_the_engine_does_something_else() -> None:
    service = pictures.FakeService(BUSY)
    async with opened(service) as screen:
        parts = {part: screen.dashboard.query_one(f"#{part}", CellLines).lines for part in PARTS}
        faster = pictures.FIGURES.model_copy(update={"generation_tokens_per_s": 7_001.0})
        service.snapshot = story(pictures.engine(figures=faster), attached())
        await screen.until(lambda: "7,001 tok/s" in screen.painted)
        after = {part: screen.dashboard.query_one(f"#{part}", CellLines).lines for part in PARTS}
        assert {part for part in PARTS if parts[part] != after[part]} == {"facts"}


async def test_resizing_shows_more_and_less() -> None:
    async with opened(pictures.FakeService(BUSY)) as screen:
        assert "of 140.4 GiB" not in screen.painted
        await screen.pilot.resize_terminal(120, 40)
        await screen.until(lambda: "61.2 of 140.4 GiB" in screen.painted)
        assert "Engine · engine-1 ● ready" in screen.painted
        await screen.pilot.resize_terminal(*LEAST)
        await screen.until(lambda: "Engine ● ready ───" in screen.painted)
        assert "6,698 tok/s · 256 running" in screen.painted
        await screen.pilot.resize_terminal(80, 24)
        await screen.until(lambda: "12,004 in" in screen.painted)


@pytest.mark.parametrize("height", range(16, 40, 4))
def test_stalls_and_an_idle_machine_leave_room_for_it_or_take_it(height: int) -> None:
    worst = attached(stalled=pictures.STALL, warnings=("one " * 60, "two"), sync_error="no route", keeper_alive=False)
    wrong = pictures.engine(warnings=("three " * 60,), fits=False, keeper_alive=False)
    found = text_of(story(wrong, worst, idle=pictures.idle("counting")), (80, height))
    assert "keeps the machine" in found
    assert "⚠ stalled" in found
    assert ("── Engine" in found) == (height > 16)


@pytest.mark.parametrize("size", [LEAST, *SIZES])
def test_an_idle_engine_on_an_idle_machine_shows_both_countdowns(size: tuple[int, int]) -> None:
    whole = replace(IDLE.campaigns[0], idle=pictures.idle("counting"))
    text = text_of(replace(IDLE, campaigns=(whole,)), size)
    assert "idle 5:50 · in 14:10 runs: runpod" in text
    assert "● ready · idle 1:48, stops in 28:12" in text
    assert "Gate ◐ UNDECIDED" in text
