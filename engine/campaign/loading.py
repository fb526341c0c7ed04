"""Reads a campaign file; every complaint names file, key path and line."""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from engine.campaign.models import Campaign, Strict
from engine.campaign.parameters import overlay
from engine.errors import ConfigurationError, NotFoundError

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PromptText(Strict):
    """A prompt file as it was read: provenance and text in one. `text` has no line break at its end."""

    path: str
    sha256: str
    text: str


class Prompts(Strict):
    instructions: PromptText
    response: PromptText
    instruction_critic: PromptText
    pair_critic: PromptText


PLACEHOLDERS: dict[str, tuple[str, ...]] = {
    "instructions": (),
    "response": ("{instruction}",),
    "instruction_critic": ("{instruction}",),
    "pair_critic": ("{instruction}", "{response}"),
}


def _key_lines(node: yaml.Node | None, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], int]:
    """Line (from 1) of every key path in a YAML document."""
    lines: dict[tuple[Any, ...], int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            lines[here] = key.start_mark.line + 1
            lines.update(_key_lines(value, here))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            here = (*path, number)
            lines[here] = value.start_mark.line + 1
            lines.update(_key_lines(value, here))
    return lines


def _line_of(lines: dict[tuple[Any, ...], int], location: tuple[Any, ...]) -> int | None:
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return None


def _place(path: Path, key: str, line: int | None) -> str:
    return f"{path}:{line}, {key}" if line is not None else f"{path}, {key}"


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    model: Any = Campaign
    for part in location[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((option for option in options if hasattr(option, "model_fields")), None)
    return list(getattr(model, "model_fields", {}))


def _complaint(path: Path, lines: dict[tuple[Any, ...], int], error: ValidationError) -> ConfigurationError:
    first = error.errors()[0]
    location = tuple(part for part in first["loc"])
    key = ".".join(str(part) for part in location) or "the file"
    where = _place(path, key, _line_of(lines, location))
    if first["type"] == "extra_forbidden":
        known = _known_keys(location)
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        remedy = (
            f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known)}" if known else "remove it"
        )
        return ConfigurationError(f"unknown key {key!r}", where=where, remedy=remedy)
    message = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool) else ""
    more = f"; {len(error.errors()) - 1} more after that" if len(error.errors()) > 1 else ""
    return ConfigurationError(f"{key}: {message}{shown}", where=where, remedy=f"mend the value{more}")


def load_campaign(path: Path) -> Campaign:
    """The campaign in `path`.

    Raises `NotFoundError` when there is no such file, `ConfigurationError` for anything in it that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFoundError("there is no such campaign file", where=str(path), remedy="check the name") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot be read: {error}", where=str(path), remedy="mend the file") from error
    try:
        lines = _key_lines(yaml.compose(text, Loader=_Loader))
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigurationError(
            f"not valid YAML: {problem}", where=f"{path}{line}", remedy="mend that line"
        ) from error
    if not isinstance(value, dict):
        raise ConfigurationError(
            "a campaign file is a mapping of keys", where=str(path), remedy="see configs/demo.yaml"
        )
    try:
        campaign = Campaign.model_validate(value)
    except ValidationError as error:
        raise _complaint(path, lines, error) from error
    _check_whole(path, campaign, lines)
    return campaign


def _check_whole(path: Path, campaign: Campaign, lines: dict[tuple[Any, ...], int]) -> None:
    if campaign.name != path.stem:
        raise ConfigurationError(
            f"name: {campaign.name!r} does not match the file's name",
            where=_place(path, "name", lines.get(("name",))),
            remedy=f"call it {path.stem!r}, or rename the file",
        )
    parameters = campaign.parameters
    for name, changes in campaign.iterations.items():
        where = _place(path, f"iterations.{name}", lines.get(("iterations", name)))
        parameters = overlay(parameters, changes, where=where)
    if campaign.generator.kind == "builtin" and campaign.prompts is None:
        raise ConfigurationError(
            "prompts is missing: the builtin generator needs its few-shots and rubrics",
            where=str(path),
            remedy="add prompts: {instructions: …, response: …, instruction_critic: …, pair_critic: …}",
        )


def load_prompts(campaign: Campaign, campaign_file: Path) -> Prompts | None:
    """The campaign's prompt files, with hashes; None when it has none (generator kind `command`)."""
    if campaign.prompts is None:
        return None
    names = campaign.prompts.model_dump()
    return Prompts(**{key: read_prompt(key, campaign_file.parent / name, name) for key, name in names.items()})


def read_prompt(kind: str, path: Path, name: str) -> PromptText:
    """One prompt file; `ConfigurationError` when it is missing, empty or lacks a placeholder."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"prompts.{kind}: the file cannot be read",
            where=str(path),
            remedy="check the path, relative to the campaign file",
        ) from error
    if not text.strip():
        raise ConfigurationError(f"prompts.{kind}: the file is empty", where=str(path), remedy="write the prompt")
    for placeholder in PLACEHOLDERS[kind]:
        if placeholder not in text:
            raise ConfigurationError(
                f"prompts.{kind}: the file lacks {placeholder}",
                where=str(path),
                remedy=f"put {placeholder} where it belongs",
            )
    return PromptText(path=name, sha256=hashlib.sha256(data).hexdigest(), text=text)
