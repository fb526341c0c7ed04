"""The processes page: who lives of a run and what that uses, who is not proven its, and since when nobody does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.figures import ProcessFigures, RunProcesses
from engine.snapshot import RunSnapshot
from tests.tui import pictures
from tests.tui.driving import opened
from tui.cells import plain, width_of
from tui.panels.processes import processes_lines
from tui.screens.processes import ProcessesScreen

SIZES = [(60, 16), (80, 24), (120, 40), (200, 50)]
ITERATION = "stage1/iteration-1"
GIB = 1 << 30


def process(pid: int, role: Any, command: str, **changes: Any) -> ProcessFigures:
    base = ProcessFigures(pid, role, command, "sleeping", 3.0, 120_000_000, None, pictures.NOW - 761)
    return replace(base, **changes)


KEEPER = process(4700, "keeper", "python -m engine.supervise.keeper")
GENERATOR = process(4711, "generator", "python -m engine.generate --spec spec.json", cpu=97.2, state="running")
CORE = process(4720, "engine core", "VLLM::EngineCore", gpu_bytes=122 * GIB, rss_bytes=9_000_000_000)
STRAY = process(812, "stray", "python left.py", gpu_bytes=2 * GIB)
LIVING = RunProcesses("pod-7", processes=(KEEPER, GENERATOR, CORE, STRAY), gpus=(pictures.gpu(),))


def text_of(found: RunProcesses | None, run: RunSnapshot | None = None, width: int = 78) -> str:
    lines = processes_lines(run or pictures.live_run(), found, width, pictures.NOW)
    assert max(map(width_of, lines)) <= width
    return plain(lines)


def row_of(text: str, start: str) -> list[str]:
    (row,) = [line for line in text.splitlines() if line.strip().startswith(start)]
    return row.split()


@pytest.mark.parametrize("width", [size[0] - 2 for size in SIZES])
def test_each_process_has_its_figures_and_there_are_sums(width: int) -> None:
    text = text_of(LIVING, width=width)
    assert "3 processes of iteration-1 on pod-7" in text
    assert row_of(text, "generator")[:8] == ["generator", "4711", "97", "%", "120.0", "MB", "–", "12:41"]
    assert row_of(text, "engine core")[2:9] == ["4720", "3", "%", "9.0", "GB", "122.0", "GiB"]
    assert row_of(text, "together") == ["together", "103", "%", "9.2", "GB", "122.0", "GiB"]
    assert "gpu0 " in text


def test_a_stray_is_shown_apart_and_called_not_proven() -> None:
    proven, strays = text_of(LIVING).split("⚠ not proven")
    assert "812" not in proven
    assert row_of(strays, "?")[1] == "812"
    assert "not proven" not in text_of(replace(LIVING, processes=(KEEPER,)))


def test_the_kept_engines_processes_stand_under_its_name() -> None:
    core = replace(CORE, of="engine-1")
    text = text_of(replace(LIVING, processes=(KEEPER, GENERATOR, core)))
    assert "2 processes of iteration-1" in text
    assert text.index("generator") < text.index("engine-1 · the kept engine") < text.index("engine core")


def test_the_first_look_knows_no_cpu_and_says_nothing_wrong() -> None:
    text = text_of(RunProcesses("pod-7", processes=(replace(KEEPER, cpu=None),)))
    assert row_of(text, "keeper")[2] == "–"
    assert "GPU" not in text
    assert "looking at" in text_of(None)


def test_of_an_ended_run_it_says_since_when_nothing_lives_and_who_holds_memory() -> None:
    ended = pictures.run(state="stopped", gpu_held=True, gpu_held_by=("pid 812 (python) on GPU 0 with 2.0 GiB",))
    text = text_of(RunProcesses("pod-7"), ended)
    assert "nothing of pilot lives on pod-7, since 2027-01-15" in text
    assert "⚠ GPU memory still held by pid 812 (python)" in text
    assert "GPU memory is still held" in text_of(RunProcesses("pod-7"), replace(ended, gpu_held_by=()))


def test_what_cannot_be_seen_from_here_is_said() -> None:
    away = text_of(RunProcesses("pod-9", in_sight=False))
    assert "iteration-1 runs on pod-9, another machine or container" in away
    assert "it never had processes here" in text_of(None, pictures.run(imported=True))
    assert "NVML does not answer" in text_of(replace(LIVING, nvml=False))


def test_untrusted_command_lines_cannot_reach_the_terminal() -> None:
    hostile = process(1, "child", "sh -c \x1b]0;x\x07[red]\u202eevil[/]")
    text = text_of(RunProcesses("pod-7", processes=(hostile,)), width=118)
    assert "[red]evil[/]" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


@pytest.mark.parametrize("size", SIZES)
async def test_5_opens_it_and_figures_are_renewed_while_it_is_open(size: tuple[int, int]) -> None:
    service = pictures.FakeService(pictures.seed_story())
    service.living[ITERATION] = LIVING
    async with opened(service, size) as screen:
        assert not service.looks
        await screen.press("m", "5")
        await screen.until(lambda: "97 %" in screen.painted)
        assert "▸5 processes◂" in screen.painted.splitlines()[0]
        busier = replace(GENERATOR, cpu=12.0)
        service.living[ITERATION] = replace(LIVING, processes=(KEEPER, busier, CORE, STRAY))
        await screen.until(lambda: "12 %" in screen.painted, "the next look, without a key")
        page = screen.app.screen
        assert isinstance(page, ProcessesScreen)
        await screen.press("left")
        await screen.until(lambda: "nothing of pilot lives on pod-7" in screen.painted)
        watch = page._watch
        assert watch is not None
        await screen.press("escape")
        await screen.until(lambda: watch.ended, "the end of looking")
