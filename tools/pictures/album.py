"""Where pictures are kept, if they may be shown."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tools.pictures.camera import words_of
from tools.pictures.scenes import Picture

LARGEST = 150_000
"""Octets of one picture."""


@dataclass(frozen=True, slots=True)
class Album:
    """`folder` takes pictures on which none of the names in `secrets` stands."""

    folder: Path
    secrets: Collection[str]

    def keep(self, picture: Picture, svg: str) -> None:
        """Write `picture`; `ValueError` when it tells what it must not, or is too large."""
        texts = (words_of(svg), words_of(svg, " "))
        told = [name for name in self.secrets if any(_stands_in(name, text) for text in texts)]
        octets = len(svg.encode())
        if told:
            raise ValueError(f"{picture.name} tells of this machine: {', '.join(told)}")
        if octets > LARGEST:
            raise ValueError(f"{picture.name} has {octets:,} octets, and {LARGEST:,} are the most")
        (self.folder / f"{picture.name}.svg").write_text(svg, encoding="utf-8")
        sys.stdout.write(f"{octets:7,}  {picture.name}\n")
        sys.stdout.flush()


def _stands_in(name: str, text: str) -> bool:
    """Whether `text` has the path or the whole word `name`."""
    before = r"(?<![\w-])" if name[0].isalnum() else ""
    return re.search(rf"{before}{re.escape(name)}(?![\w-])", text) is not None
