"""Where the configurations that ship with the project lie, installed or in a source checkout."""

from __future__ import annotations

from pathlib import Path

from engine.errors import NotFoundError

ENGINE = Path(__file__).resolve().parent.parent


def packaged_configs() -> Path:
    """The folder of the shipped campaign files and prompts.

    A wheel carries it as `engine/_configs`, a checkout as `configs` beside `engine`. `NotFoundError` when neither is
    there.
    """
    for folder in (ENGINE / "_configs", ENGINE.parent / "configs"):
        if (folder / "prompts" / "demo").is_dir():
            return folder
    raise NotFoundError(
        "the configurations that ship with the project are missing",
        where=str(ENGINE / "_configs"),
        remedy="install the project again",
    )
