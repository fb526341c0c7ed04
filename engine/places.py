"""Where a person's own settings and the screen's state lie: in the XDG folders, never in a workspace."""

from __future__ import annotations

import os
from pathlib import Path


def settings_file() -> Path:
    """`$XDG_CONFIG_HOME/pilothouse/settings.yaml`, or under `~/.config`."""
    return _base("XDG_CONFIG_HOME", ".config") / "settings.yaml"


def state_folder() -> Path:
    """`$XDG_STATE_HOME/pilothouse`, or under `~/.local/state`; whoever writes there first makes it."""
    return _base("XDG_STATE_HOME", ".local/state")


def made_state_folder() -> Path:
    """The state folder, created private. May raise `OSError`."""
    folder = state_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _base(variable: str, fallback: str) -> Path:
    """The standard has a path that is not absolute ignored. A user without a home gets a folder that cannot be made."""
    given = Path(os.environ.get(variable, ""))
    try:
        base = given if given.is_absolute() else Path.home() / fallback
    except RuntimeError:
        base = Path("/nonexistent") / fallback
    return base / "pilothouse"
