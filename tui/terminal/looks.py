"""How a cell looks, and the fewest octets that turn a terminal's pen from one look to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from rich.color import ColorSystem
from rich.style import Style

BOLD, FAINT = "1", "2"
ON = {
    "bold": BOLD,
    "dim": FAINT,
    "italic": "3",
    "underline": "4",
    "blink": "5",
    "blink2": "6",
    "reverse": "7",
    "conceal": "8",
    "strike": "9",
    "underline2": "21",
    "frame": "51",
    "encircle": "52",
    "overline": "53",
}
OFF = {BOLD: "22", FAINT: "22", "3": "23", "4": "24", "5": "25", "6": "25", "7": "27", "8": "28", "9": "29"}
OFF |= {"21": "24", "51": "54", "52": "54", "53": "55"}
SEEN_ON_BLANK = frozenset(("4", "5", "6", "7", "9", "21", "51", "52", "53"))


@dataclass(frozen=True, slots=True)
class Look:
    """SGR codes: of the ink and the ground ("" for the terminal's own), and of what is switched on; a hyperlink."""

    ink: str = ""
    ground: str = ""
    on: frozenset[str] = frozenset()
    link: str = ""

    @property
    def order(self) -> tuple[str, str, list[str], str]:
        """Looks that have much in common stand beside each other."""
        return self.ground, self.ink, sorted(self.on), self.link

    @property
    def plain_ground(self) -> bool:
        """A terminal that erases a cell with this pen leaves what a space would be."""
        return not self.on and not self.link


NONE = Look()


@lru_cache(maxsize=2048)
def look_of(style: Style | None, colors: ColorSystem) -> Look:
    """The look that Textual gives to a segment of that style."""
    if style is None:
        return NONE
    ink, ground = style.color, style.bgcolor
    return Look(
        ink=";".join(ink.downgrade(colors).get_ansi_codes()) if ink else "",
        ground=";".join(ground.downgrade(colors).get_ansi_codes(foreground=False)) if ground else "",
        on=frozenset(code for name, code in ON.items() if getattr(style, name)),
        link=style.link or "",
    )


@lru_cache(maxsize=2048)
def blank(look: Look) -> Look:
    """How a space looks that is written so: ink does not show on it."""
    return look if look.on & SEEN_ON_BLANK or look.link else replace(look, ink="", on=frozenset())


@lru_cache(maxsize=4096)
def turn(before: Look, after: Look) -> str:
    """What makes a pen that writes `before` write `after`."""
    link = "" if before.link == after.link else f"\x1b]8;;{after.link}\x1b\\"
    changed = _changes(before, after)
    if not changed:
        return link
    anew = ";".join(["", *sorted(after.on, key=int), *filter(None, (after.ink, after.ground))])
    return f"{link}\x1b[{min(changed, anew, key=len)}m"


def _changes(before: Look, after: Look) -> str:
    """Only the codes of what differs. One code switches off several things; those that stay are switched on again."""
    off = sorted({OFF[code] for code in before.on - after.on}, key=int)
    left = {code for code in before.on if OFF[code] not in off}
    codes = [*off, *sorted(after.on - left, key=int)]
    if before.ink != after.ink:
        codes.append(after.ink or "39")
    if before.ground != after.ground:
        codes.append(after.ground or "49")
    return ";".join(codes)
