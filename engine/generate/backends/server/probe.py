"""What a server is and can do. What it merely says about itself is believed where nothing depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import ConfigurationError
from engine.generate.backends.base import label_tokens
from engine.generate.backends.server.asking import Asker, RefusedByServerError, log
from engine.generate.backends.server.options import ServerOptions
from engine.generate.backends.server.scoring import Way
from engine.generate.backends.server.trials import NEUTRAL, OPEN, STOP_STRINGS, Trials
from engine.generate.backends.server.wire import COMPLETIONS, Dialect, MalformedError, parsed
from engine.generate.critics import LABELS
from engine.generate.models.tokenizer import TextTokenizer

MODELS = "/v1/models"
NAMED_AT_MOST = 8


@dataclass(frozen=True, slots=True)
class Served:
    """A model as `/v1/models` lists it."""

    name: str
    context: int | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """`context` in tokens as the server says it; `stops`: whether stop strings end a text, None when that did not show;
    `version` as the server tells it, empty if it does not; `queues`: it is known to queue what it cannot run yet."""

    dialect: Dialect
    way: Way
    context: int | None
    seeds: bool
    stops: bool | None
    version: str
    queues: bool


async def probe(asker: Asker, options: ServerOptions, tokenizer: TextTokenizer, path: str | None) -> Findings:
    """Find out, and log in one sentence. `path` is the campaign's `model.path`, which may name the model.

    Raises `ConfigurationError` when this server cannot be worked with, `RefusedError` when it does not let us in,
    `RunFailedError` when it does not answer.
    """
    labels = label_tokens(tokenizer, LABELS)
    served, header = await _model(asker, options, path)
    dialect = await _prompt_form(asker, Dialect(served.name), tokenizer)
    seeds = await Trials(asker, tokenizer, dialect).seeds()
    dialect = replace(dialect, seed=seeds is not None)
    penalty = await Trials(asker, tokenizer, dialect).repetition_penalty()
    dialect = replace(dialect, repetition_penalty=penalty)
    most, stops, tells = await Trials(asker, tokenizer, dialect).stop_strings()
    dialect = replace(dialect, stop_strings=most, tells_stop=tells)
    way = await Trials(asker, tokenizer, dialect).way_to_score(labels)
    if way is None:
        raise ConfigurationError(
            "this server gives no log probabilities of the labels A and B, and the critics cannot work without",
            where=asker.address,
            remedy="use a server whose /v1/completions gives logprobs for base models, such as vLLM",
        )
    if options.repetition_detection is not None:
        dialect = await _with_detection(asker, dialect, options, tokenizer)
    findings = Findings(
        dialect=dialect,
        way=way,
        context=served.context,
        seeds=bool(seeds),
        stops=stops,
        version=await _version(asker, served, header),
        queues=served.owner == "vllm",
    )
    log.info("%s", _sentence(asker, findings))
    return findings


def _sentence(asker: Asker, found: Findings) -> str:
    dialect, together = found.dialect, f", up to {found.way.most} at once" if found.way.most > 1 else ""
    stops = {True: "honoured", False: "not honoured (texts are cut here)", None: "taken"}[found.stops]
    stops += f", {dialect.stop_strings} at a time" if dialect.stop_strings < max(STOP_STRINGS) else ""
    return (
        f"{asker.address} ({found.version or 'of no known version'}) serves {asker.clean(dialect.model)}, "
        f"context {found.context or 'unknown'}: prompts go as {'token ids' if dialect.token_ids else 'text'}, "
        f"labels are scored by {found.way.name}{together}; seeds are {_honoured(found.seeds)}, "
        f"the repetition penalty is {_honoured(dialect.repetition_penalty)}, stop strings are {stops}"
    )


def _honoured(yes: bool) -> str:
    return "honoured" if yes else "not honoured"


# --- the model ---------------------------------------------------------------------------------------------------


async def _model(asker: Asker, options: ServerOptions, path: str | None) -> tuple[Served, str]:
    """The model to ask for, and the `Server` header."""
    reply = await asker.reply(MODELS)
    if reply.status in (401, 403):
        raise asker.locked_out(asker.words(reply))
    listed: list[Served] | None = None
    if reply.status == 200:
        try:
            listed = _listed(parsed(reply))
        except MalformedError:
            listed = None
    if not listed:
        if options.model is None:
            raise ConfigurationError(
                f"the server does not say at {MODELS} which models it serves"
                + (f" ({asker.words(reply)})" if reply.status != 200 else ""),
                where=asker.address,
                remedy="check that it is an OpenAI-compatible server; if it is, set model.options.model to the name",
            )
        return Served(options.model), reply.server
    names = [served.name for served in listed]
    shown = ", ".join(asker.clean(name) for name in names[:NAMED_AT_MOST])
    if options.model is not None:
        if options.model not in names:
            raise ConfigurationError(
                f"model.options.model: the server serves no {asker.clean(options.model)!r}; it serves {shown}",
                where="model.options.model",
                remedy="write one of these names",
            )
        return listed[names.index(options.model)], reply.server
    if len(names) == 1:
        return listed[0], reply.server
    if path in names:
        return listed[names.index(path)], reply.server
    raise ConfigurationError(
        f"the server serves several models: {shown}",
        where="model.options.model",
        remedy="set model.options.model to the one that is meant",
    )


def _listed(answer: Mapping[str, Any]) -> list[Served]:
    data = answer.get("data")
    found: list[Served] = []
    for entry in data if isinstance(data, list) else []:
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and name:
            limit, owner = entry.get("max_model_len"), entry.get("owned_by")
            known = isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
            found.append(Served(name, limit if known else None, owner if isinstance(owner, str) else ""))
    return found


async def _version(asker: Asker, served: Served, header: str) -> str:
    try:
        version = (await asker.answer("/version")).get("version")
    except (RefusedByServerError, MalformedError):
        version = None
    if not isinstance(version, str):
        return header
    return asker.clean(f"{served.owner} {version}".strip(), 80)


# --- how it wants to be asked ------------------------------------------------------------------------------------


async def _prompt_form(asker: Asker, dialect: Dialect, tokenizer: TextTokenizer) -> Dialect:
    """Token ids where the server takes exactly those, else text. Checks that it counts tokens as the tokenizer does."""
    trials = Trials(asker, tokenizer, dialect)
    ids = tokenizer.token_ids(OPEN, special=False)
    counts = {len(ids), len(tokenizer.token_ids(OPEN, special=True))}
    by_ids: Dialect | None = None
    for neutral in (NEUTRAL, {}):
        if await trials.tokens_of(token_ids=True, more=neutral) == len(ids):
            by_ids = replace(dialect, token_ids=True, neutral=neutral)
            break
    plain = {"add_special_tokens": False}
    for neutral in ({**NEUTRAL, **plain}, plain, NEUTRAL, {}):
        taken = await trials.tokens_of(token_ids=False, more=neutral)
        if taken is None:
            continue
        if taken not in (-1, *counts):
            raise ConfigurationError(
                f"tokenizer and server do not belong together: a text is {len(ids)} tokens here and {taken} there",
                where="model.options.tokenizer",
                remedy="use the tokenizer of the very model that the server serves",
            )
        return by_ids or replace(dialect, token_ids=False, neutral=neutral)
    if by_ids is not None:
        return by_ids
    raise ConfigurationError(
        f"the server does not complete a text at {COMPLETIONS}: {asker.last_refusal or 'its answers hold no choices'}",
        where=asker.address,
        remedy="use a server with OpenAI's completions (not only chat completions), and a model it lets complete texts",
    )


async def _with_detection(asker: Asker, dialect: Dialect, options: ServerOptions, tokenizer: TextTokenizer) -> Dialect:
    assert options.repetition_detection is not None
    detecting = replace(dialect, repetition_detection=options.repetition_detection)
    refusal = await Trials(asker, tokenizer, detecting).refusal()
    if refusal is not None:
        raise ConfigurationError(
            f"the server does not take repetition_detection: {refusal}",
            where="model.options.repetition_detection",
            remedy="remove it, or use a vLLM server of version 0.18 or later",
        )
    return detecting
