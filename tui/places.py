"""Where the screen keeps what is its own."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """`$XDG_STATE_HOME/pilothouse` (or under `~/.local/state`), created private. May raise `OSError`."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = base / "pilothouse"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
