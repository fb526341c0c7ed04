"""What `terminal` measures beside the dashboard: a RichLog that follows a file, a write a line, Textual as it comes."""

from __future__ import annotations

import sys
from pathlib import Path

from textual.app import App, ComposeResult
from textual.widgets import RichLog


class PlainLog(App[None]):
    """Follows the file from its end; keeps 10,000 lines, without which its memory would grow for ever."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._stream = path.open(encoding="utf-8", errors="replace")
        self._stream.seek(0, 2)

    def compose(self) -> ComposeResult:
        yield RichLog(max_lines=10_000)

    def on_mount(self) -> None:
        self.set_interval(0.1, self.read)

    def read(self) -> None:
        log = self.query_one(RichLog)
        for line in self._stream:
            log.write(line.rstrip("\n"))


if __name__ == "__main__":
    PlainLog(Path(sys.argv[1])).run()
