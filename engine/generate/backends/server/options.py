"""What a campaign with `backend: server` says about the server, in `model.options`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from engine.campaign.fields import Count, NotBool, Strict
from engine.campaign.models import ModelConfig
from engine.errors import ConfigurationError
from engine.generate.models.folder import POCKET, POCKET_FOLDER, ModelFolder, context_of, has_chat_template
from engine.generate.models.repetition import parse_repetition
from engine.logs.sanitise import sanitise

if TYPE_CHECKING:
    from engine.journal.engine_record import EngineRecord

LONGEST_SOCKET_PATH = 107
"""Bytes of a Unix socket's path that the kernel takes."""

AHEAD = 1.25
"""An engine of ours gets so many times its batch: what waits takes the place of what finishes without a gap."""

LARGEST_BATCH = 1024
"""Sequences at once that vLLM takes by default on the largest devices."""

Seconds = Annotated[float, Field(gt=0.0, le=86_400.0, allow_inf_nan=False), NotBool]


def _complaint(message: str) -> PydanticCustomError:
    return PydanticCustomError("server_option", "{message}", {"message": message})


def _checked_url(url: str) -> str:
    """The server's root without `/v1`. The complaints never quote the url: it may hold a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _complaint("is no address; write http://HOST:PORT or https://HOST") from None
    if "@" in parts.netloc:
        raise _complaint("holds credentials; put the key into an environment variable and name it in api_key_env")
    if parts.scheme not in ("http", "https") or not host or port == 0 or not url.isprintable() or " " in url:
        raise _complaint("is no address; write http://HOST:PORT or https://HOST")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise _complaint("has something after the path; write http://HOST:PORT or https://HOST")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def _checked_socket(path: str) -> str:
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH or "\0" in path:
        raise _complaint(f"is longer than the {LONGEST_SOCKET_PATH} bytes of a Unix socket's path; move the socket")
    return path


class ServerOptions(Strict):
    """`url` or `socket` says where the server is, `model` which of its models (by default its only one).

    `api_key_env` names the environment variable that holds the key. `tokenizer` is a local folder or tokenizer.json
    (by default `model.path`). `timeout_s` bounds one request; a server that cannot be reached for `retry_for_s` counts
    as lost. `concurrency` bounds the requests in flight, `max_model_len` prompt and completion together, in tokens.
    """

    url: Annotated[str, AfterValidator(_checked_url)] | None = None
    socket: Annotated[str, Field(min_length=1), AfterValidator(_checked_socket)] | None = None
    model: Annotated[str, Field(min_length=1)] | None = None
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    tokenizer: Annotated[str, Field(min_length=1)] | None = None
    timeout_s: Seconds = 600.0
    retry_for_s: Seconds = 300.0
    concurrency: Annotated[int, Field(ge=1, le=100_000), NotBool] = 512
    max_model_len: Count | None = None
    repetition_detection: Annotated[dict[str, int] | None, BeforeValidator(parse_repetition)] = None

    @model_validator(mode="after")
    def _one_place(self) -> ServerOptions:
        if (self.url is None) == (self.socket is None):
            raise _complaint("exactly one of url and socket must be given")
        return self

    @property
    def address(self) -> str:
        """How messages name the server."""
        return sanitise(self.url or f"unix:{self.socket}", 200)


_REMEDIES = {
    "url": "set model.options.url, for example to http://127.0.0.1:8000, or model.options.socket to a Unix socket",
    "api_key_env": "write the name of an environment variable, such as OPENAI_API_KEY, never the key itself",
}


def server_options(model: ModelConfig) -> ServerOptions:
    """`model.options` of a campaign with `backend: server`; `ConfigurationError` that names the key."""
    return parse_options(model.options)


def parse_options(options: Mapping[str, Any]) -> ServerOptions:
    """`ServerOptions` from a mapping; `ConfigurationError` that names the key, and quotes no value."""
    try:
        return ServerOptions.model_validate(dict(options))
    except ValidationError as error:
        raise _explained(error.errors(include_url=False)[0]) from None


def _explained(error: ErrorDetails) -> ConfigurationError:
    key = sanitise(".".join(str(part) for part in error["loc"]), 120) or "url"
    where = f"model.options.{key}"
    if error["type"] == "extra_forbidden":
        return ConfigurationError(
            f"{where} is not an option of the backend server",
            where=where,
            remedy=f"options are: {', '.join(ServerOptions.model_fields)}",
        )
    message = error["msg"].replace("Input should be", "should be").replace("Field required", "is missing")
    return ConfigurationError(
        f"{where}: {sanitise(message, 300)}", where=where, remedy=_REMEDIES.get(key, "mend the value")
    )


def attached_options(model: ModelConfig, attached: EngineRecord, *, retry_for_s: float) -> ServerOptions:
    """Options for the kept engine of a campaign with `backend: vllm`, whose own `model.options` are the engine's."""
    batch = model.options.get("max_num_seqs") or LARGEST_BATCH
    return parse_options(
        {
            "socket": attached.socket,
            "model": attached.model,
            "retry_for_s": retry_for_s,
            "concurrency": round(AHEAD * batch) if isinstance(batch, int) else batch,
            "repetition_detection": model.options.get("repetition_detection"),
        }
    )


def api_key(options: ServerOptions) -> str | None:
    """The key from the environment; `ConfigurationError` when it is not there or cannot be sent."""
    name = options.api_key_env
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key or not (key.isascii() and key.isprintable()):
        raise ConfigurationError(
            f"the environment variable {name} "
            + (
                "holds characters that no API key has" if key else "is not set, and the server's API key is to be in it"
            ),
            where="model.options.api_key_env",
            remedy=f"set {name} where the run is started, or name another variable",
        )
    return key


def tokenizer_folder(model: ModelConfig, options: ServerOptions) -> ModelFolder:
    """The local folder of the tokenizer that belongs to the server's model; `ConfigurationError` when there is none."""
    place = _tokenizer_place(model, options)
    folder = place if place.is_dir() else place.parent
    return ModelFolder(
        name=model.path,
        weights=folder,
        tokenizer=place,
        context=context_of(model, folder),
        chat_template=has_chat_template(folder),
    )


def _tokenizer_place(model: ModelConfig, options: ServerOptions) -> Path:
    named = options.tokenizer or model.path
    place = POCKET_FOLDER / "hf" if named == POCKET else Path(named).expanduser()
    if place.exists():
        return place
    remedy = (
        "copy tokenizer.json of the model that the server serves to this machine and set model.options.tokenizer to it"
    )
    if options.tokenizer is not None:
        raise ConfigurationError(
            "model.options.tokenizer: there is no such file or folder", where=str(place), remedy=remedy
        )
    raise ConfigurationError(
        f"model.path: {sanitise(model.path, 120)!r} is no local folder, and the tokenizer is needed here",
        where="model.options.tokenizer",
        remedy=remedy,
    )
