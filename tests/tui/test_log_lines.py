"""What a log line says of itself."""

from __future__ import annotations

import pytest

from tui.logs.lines import stamp_of


@pytest.mark.parametrize(
    ("line", "level", "rest"),
    [
        ("2025-10-07 18:05:41,123 - INFO - kept 61 of 100", "", "kept 61 of 100"),
        ("2025-10-07 18:05:41 ERROR: no memory", "ERROR", "no memory"),
        ("2025-10-07T18:05:41.5 [WARNING] slow", "WARNING", "slow"),
        ("(EngineCore pid=7) INFO 10-07 18:05:41.123 loading", "", "loading"),
    ],
)
def test_the_stamps_that_python_and_vllm_write_are_known(line: str, level: str, rest: str) -> None:
    stamp = stamp_of(line)
    assert stamp is not None
    assert (stamp.time, stamp.loud, line[stamp.rest :]) == ("18:05:41", level, rest)


@pytest.mark.parametrize("line", ["", "kept 61 of 100", "2025-10-07 - 5 items", "18:05:41 INFO x"])
def test_other_lines_have_none(line: str) -> None:
    assert stamp_of(line) is None
