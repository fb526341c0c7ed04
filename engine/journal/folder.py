"""A folder of small JSON files, each written once and whole: read as they come, and never the same one twice."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from engine.files import read_json

LARGEST_BYTES = 1_000_000


class FolderReader:
    """`values` holds, sorted by file name, each file's JSON object; None for a file that holds none.

    Only regular files `*.json` up to `LARGEST_BYTES` are read; a name that begins with a dot is still being written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values: dict[str, dict[str, Any] | None] = {}

    def refresh(self) -> bool:
        """Read what is new and forget what is gone; whether there was any. A missing folder is an empty one, one that
        cannot be listed just now is as it was."""
        try:
            listed = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            listed = []
        except OSError:
            return False
        names = {name for name in listed if name.endswith(".json") and not name.startswith(".")}
        if names == self.values.keys():
            return False
        known = self.values
        self.values = {name: known[name] if name in known else self._read(name) for name in sorted(names)}
        return True

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_BYTES:
                return None
            return read_json(path)
        except OSError:
            return None
