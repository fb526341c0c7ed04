"""Reads a campaign file; every complaint names file, key path and line."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.campaign.document import (
    Document,
    Location,
    key_path,
    read_document,
    read_text_file,
    reason_of,
    short,
    shown,
)
from engine.campaign.fields import Strict
from engine.campaign.models import Campaign, Parameters
from engine.campaign.naming import kind_of
from engine.campaign.parameters import overlay
from engine.errors import ConfigurationError
from engine.files import checked_name

Model = TypeVar("Model", bound=BaseModel)


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

# --- complaints --------------------------------------------------------------------------------------------------

_EXPECTED = {
    "int": "should be a whole number",
    "float": "should be a number",
    "number": "should be a number",
    "bool": "should be true or false",
    "string": "should be a text",
    "dict": "should be a mapping of keys",
    "model": "should be a mapping of keys",
    "tuple": "should be a list, like [a, b]",
    "missing": "is missing",
}
"""By the first word of pydantic's error type, for the errors of a wrong type."""
_WRONG_TYPE = re.compile(r"missing|(?:number_not_bool|[a-z]+_(?:type|parsing|from_float))(?:_size)?")


def _message(error: ErrorDetails) -> str:
    if _WRONG_TYPE.fullmatch(error["type"]):
        word = _EXPECTED.get(error["type"].partition("_")[0])
        if word is not None:
            return word
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "should be")


def _remedy(error: ErrorDetails) -> str:
    value, kind = error.get("input"), error["type"]
    if kind == "missing":
        return "add the key"
    if value is None:
        return "write a value after the colon, or leave the key out"
    if isinstance(value, bool):
        return "YAML takes on, off, yes and no for true and false: write a number, or put the text in quotes"
    if kind == "int_parsing" and isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return "mend the value"
        if number.is_integer() and abs(number) < 1e15:
            return f"write {int(number)}: YAML takes {short(value)} for a text"
    if kind == "string_type" and isinstance(value, int | float):
        return f"put it in quotes: '{shown(value)}'"
    if kind == "literal_error" and isinstance(value, str):
        near = difflib.get_close_matches(value, re.findall(r"'([^']*)'", str(error.get("ctx", {}))), n=1)
        return f"did you mean {near[0]!r}?" if near else "mend the value"
    if kind == "tuple_type":
        return (
            f"put it in brackets: [{short(json.dumps(value))}]"
            if isinstance(value, str)
            else "write a list in brackets"
        )
    return "mend the value"


def _known_keys(model: Any, location: Location) -> list[str]:
    for part in location[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((option for option in options if hasattr(option, "model_fields")), None)
    return list(getattr(model, "model_fields", {}))


def close_match(name: str, known: list[str]) -> str:
    """What to do about `name`, which is none of `known`: the nearest one, and all there are."""
    near = difflib.get_close_matches(name[:100], known, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known here: {', '.join(known)}"


def complaint(error: ValidationError, model: type[BaseModel], place: Callable[..., str]) -> ConfigurationError:
    """`error` of validating a `model`, in words; `place` says where a key path stands."""
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    key, where = key_path(location), place(*location)
    more = f"; {error.error_count() - 1} more after that" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, location)
        remedy = close_match(str(location[-1]), known) if known else "remove it"
        return ConfigurationError(f"unknown key {key!r}", where=where, remedy=remedy + more)
    value = first.get("input")
    it_is = f" (it is {shown(value)})" if value is None or isinstance(value, str | int | float) else ""
    return ConfigurationError(f"{key}: {_message(first)}{it_is}", where=where, remedy=_remedy(first) + more)


def validated(model: type[Model], document: Document) -> Model:
    """`document` as a `model`; `ConfigurationError` with key and line for what does not fit."""
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        raise complaint(error, model, document.place) from error


# --- campaigns ---------------------------------------------------------------------------------------------------


def load_campaign(path: Path) -> Campaign:
    """The campaign in `path`.

    Raises `NotFoundError` when there is no such file, `ConfigurationError` for anything in it that cannot be used.
    Names of metrics and detectors are not looked up here: `engine.replay.campaigns.load_checked` does that.
    """
    document = read_document(path)
    campaign = validated(Campaign, document)
    _check_whole(document, campaign)
    return campaign


def _check_whole(document: Document, campaign: Campaign) -> None:
    stem = document.path.stem
    if campaign.name != stem:
        raise ConfigurationError(
            f"name: {shown(campaign.name)} does not match the file's name",
            where=document.place("name"),
            remedy=f"call it {stem!r}, or rename the file",
        )
    _check_name(document, campaign.name, "campaign", "name")
    parameters = campaign.parameters
    for name, changes in campaign.iterations.items():
        _check_iteration_name(document, name)
        try:
            parameters = overlay(parameters, changes, where=document.place("iterations", name))
        except ConfigurationError as error:
            if isinstance(error.__cause__, ValidationError):
                place = partial(document.place, "iterations", name)
                raise complaint(error.__cause__, Parameters, place) from error
            raise
    if campaign.engine.keep_warm and (campaign.model.backend != "vllm" or campaign.generator.kind != "builtin"):
        raise ConfigurationError(
            "engine.keep_warm: only the builtin generator with the backend vllm has an engine to keep",
            where=document.place("engine", "keep_warm"),
            remedy="set model.backend to vllm, or leave keep_warm out",
        )
    if campaign.generator.kind == "builtin" and campaign.prompts is None:
        raise ConfigurationError(
            "prompts is missing: the builtin generator needs its few-shots and rubrics",
            where=str(document.path),
            remedy="add prompts: {instructions: …, response: …, instruction_critic: …, pair_critic: …}",
        )


def _check_name(document: Document, name: str, what: str, *location: str) -> None:
    try:
        checked_name(name[:100], what)
    except ConfigurationError as error:
        raise ConfigurationError(error.what, where=document.place(*location), remedy=error.remedy) from error


def _check_iteration_name(document: Document, name: str) -> None:
    """An iteration's name becomes a run's name, and a run's name decides what kind of run it is."""

    _check_name(document, name, "iteration", "iterations", name)
    kind = kind_of(name)
    if kind != "iteration":
        raise ConfigurationError(
            f"iterations: a run named {name!r} is a {kind} run, not an iteration",
            where=document.place("iterations", name),
            remedy="give it a name that starts neither with pilot nor with scale, such as iteration-1",
        )


def load_prompts(campaign: Campaign, campaign_file: Path) -> Prompts | None:
    """The campaign's prompt files, with hashes; None when it has none (generator kind `command`)."""
    if campaign.prompts is None:
        return None
    names = campaign.prompts.model_dump()
    return Prompts(**{key: read_prompt(key, campaign_file.parent / name, name) for key, name in names.items()})


def read_prompt(kind: str, path: Path, name: str) -> PromptText:
    """One prompt file; `ConfigurationError` when it is missing, no text, empty or lacks a placeholder."""
    try:
        data, text = read_text_file(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"prompts.{kind}: the file cannot be read: {reason_of(error)}",
            where=str(path),
            remedy="check the path, relative to the campaign file",
        ) from error
    text = text.rstrip("\n")
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
