"""A person's own settings for the screen: a file, and environment variables that win over it.

What is wrong with a setting never keeps the screen from opening: it opens with the default, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticKnownError
from textual.theme import BUILTIN_THEMES

from engine.campaign.document import EmptyFileError, read_document
from engine.campaign.fields import NotBool, Strict
from engine.campaign.loading import complaint, validated
from engine.errors import NotFoundError, PilothouseError
from engine.places import settings_file
from tui.theme import PILOTHOUSE

THEMES = (PILOTHOUSE.name, *sorted(BUILTIN_THEMES))

Channel = Literal["screen", "bell", "osc9"]


def _known_theme(name: str) -> str:
    if name not in THEMES:
        raise PydanticKnownError("literal_error", {"expected": ", ".join(map(repr, THEMES))})
    return name


class Settings(Strict):
    """`theme` None: the one last chosen on the screen. `notify` says where news is told: in a corner of the screen, by
    the terminal's bell, by a notification of the terminal (OSC 9)."""

    refresh_per_second: Annotated[float, Field(ge=0.1, le=4.0, allow_inf_nan=False), NotBool] = 2.0
    theme: Annotated[str, AfterValidator(_known_theme)] | None = None
    notify: tuple[Channel, ...] = ("screen",)


def _channels(text: str) -> list[str]:
    return [] if text == "none" else [name.strip() for name in text.split(",")]


VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "PILOTHOUSE_REFRESH": ("refresh_per_second", str),
    "PILOTHOUSE_THEME": ("theme", str),
    "PILOTHOUSE_NOTIFY": ("notify", _channels),
}
"""Environment variables, each with the setting that it stands for and how it is read."""


def load_settings(environment: Mapping[str, str] = os.environ) -> tuple[Settings, list[PilothouseError]]:
    """The settings, and what is wrong with them: a file that cannot be used is as good as none, and so is a variable.
    Variables win over the file."""
    errors: list[PilothouseError] = []
    settings = Settings()
    try:
        settings = validated(Settings, read_document(settings_file()))
    except (NotFoundError, EmptyFileError):
        pass
    except PilothouseError as error:
        errors.append(error)
    for variable, (setting, read) in VARIABLES.items():
        text = environment.get(variable, "").strip()
        if not text:
            continue
        try:
            one = Settings.model_validate({setting: read(text)})
        except ValidationError as error:
            errors.append(complaint(error, Settings, lambda *_, name=variable: f"environment variable {name}"))
        else:
            settings = settings.model_copy(update={setting: getattr(one, setting)})
    return settings, errors
