"""Pilothouse's own colours: a quiet dark ground, and colour only where something wants to be seen."""

from __future__ import annotations

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
    variables={"text-quiet": "#8b94a1", "rule": "#3a424e"},
)
