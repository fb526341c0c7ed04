"""Take the pictures anew: `python -m tools.pictures [--out FOLDER]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tui.__main__ import DEFAULTS

OUT = Path(__file__).parents[2] / "docs" / "pictures"
PERSONAL = ("NO_COLOR", "TEXTUAL_THEME", "PILOTHOUSE_THEME", "PILOTHOUSE_NOTIFY", "PILOTHOUSE_REFRESH")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help="default: docs/pictures")
    out: Path = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for name in PERSONAL:
            os.environ.pop(name, None)
        os.environ.update(DEFAULTS, XDG_CONFIG_HOME=place, XDG_STATE_HOME=place)
        _take_all(Path(place), out)
    return 0


def _take_all(place: Path, out: Path) -> None:
    """Textual is imported here, once its settings have been made."""
    from tools.pictures.album import Album
    from tools.pictures.camera import take_pictures
    from tools.pictures.runs import stories, under_way

    album = Album(out, secrets=(tempfile.gettempdir(), str(Path.home()), socket.gethostname()))
    for story in stories(place):
        with under_way(story) as service:
            asyncio.run(take_pictures(service, story.campaign, story.pictures, album.keep))


if __name__ == "__main__":
    sys.exit(main())
