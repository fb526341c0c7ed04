"""Pilothouse's own colours, a quiet dark ground and colour only where something wants to be seen; and what makes the
colours of any theme readable."""

from __future__ import annotations

from collections.abc import Sequence

from textual.color import BLACK, WHITE, Color
from textual.theme import Theme

PILOTHOUSE = Theme(
    name="pilothouse",
    primary="#7aa2c9",
    secondary="#8fb3a5",
    accent="#8ab4f0",
    success="#86c08b",
    warning="#e0b268",
    error="#e5837b",
    foreground="#d6dae0",
    background="#14171c",
    surface="#1b1f26",
    panel="#242a33",
    dark=True,
)

PALE_THEME = "ansi-dark"
"""The theme for a terminal of sixteen colours, in which others lose their differences: it takes the terminal's own."""

READABLE, QUIET = 4.5, 3.0
"""Least contrast of text, and of what is dim on purpose (WCAG 2: normal and large text)."""
DIM, RULE = 0.62, 0.26
"""Shares of the foreground in what is dim, and in a rule."""
STEPS = 20

GROUNDS = ("background", "surface", "panel")
ROLES = {"good": "success", "bad": "error", "warn": "warning", "accent": "accent"}
"""Roles of cells that have a colour of the theme's own."""


def role_variables(variables: dict[str, str]) -> dict[str, str]:
    """A theme's `variables` for `$role-…`: its own colours, moved towards black or white until they can be read on each
    of its grounds. Where it takes the terminal's own colours, whose contrast nobody here knows, they stay."""
    colours = {name: Color.parse(variables[name]) for name in ("foreground", *GROUNDS, *ROLES.values())}
    text, ground = colours["foreground"], colours["background"]
    if text.ansi is not None or ground.ansi is not None:
        own = {f"role-{role}": variables[name] for role, name in ROLES.items()}
        return own | dict.fromkeys(("role-text", "role-dim", "role-rule"), variables["foreground"])
    grounds = [ground.blend(colours[name], colours[name].a, 1.0) for name in GROUNDS]
    roles = {role: readable(colours[name], grounds, READABLE) for role, name in ROLES.items()}
    roles["text"] = readable(text, grounds, READABLE)
    roles["dim"] = readable(ground.blend(text, DIM, 1.0), grounds, QUIET)
    roles["rule"] = ground.blend(text, RULE, 1.0)
    return {f"role-{role}": colour.hex for role, colour in roles.items()}


def readable(colour: Color, grounds: Sequence[Color], ratio: float) -> Color:
    """`colour`, or the nearest to it on the way to black or white that has this contrast on every ground."""
    pole = max(BLACK, WHITE, key=lambda end: min(contrast(end, ground) for ground in grounds))
    ways = (colour.blend(pole, step / STEPS, 1.0) for step in range(STEPS + 1))
    return next((way for way in ways if min(contrast(way, ground) for ground in grounds) >= ratio), pole)


def contrast(one: Color, other: Color) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Color) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
