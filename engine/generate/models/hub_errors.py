"""What a failure of the hub's library means to a person, and what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError, PilothouseError, RunFailedError
from engine.files import storage_error
from engine.generate.models.hub import HubName
from engine.generate.models.reading import shown
from engine.logs.sanitise import sanitise

_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ENOTDIR)
_UNREACHED = ("ConnectError", "ConnectionError", "ConnectTimeout", "ProxyError", "SSLError", "UnsupportedProtocol")
_BROKEN = ("TimeoutException", "Timeout", "TransportError", "ChunkedEncodingError", "IncompleteRead")


def explained(details: Mapping[str, Any], name: HubName, cache: Path) -> PilothouseError:
    """What a failure of the hub's library means to a person, and what to do about it."""
    kinds, status, number = set(details.get("kinds", ())), details.get("status"), details.get("errno")
    endpoint = shown(str(details.get("endpoint") or "https://huggingface.co"))
    page, token = f"{endpoint}/{name.repository}", bool(details.get("token"))
    text = sanitise(str(details.get("text")), 300)
    if "OfflineModeIsEnabled" in kinds:
        return ConfigurationError(
            f"{name.repository} is not on this machine as a whole, and the hub is switched off (HF_HUB_OFFLINE)",
            where=shown(cache),
            remedy="unset HF_HUB_OFFLINE for once, or copy the model here and set model.path to its folder",
        )
    if "DisabledRepoError" in kinds:
        return ConfigurationError(
            f"access to {name.repository} is disabled on the hub", where=page, remedy="take another model"
        )
    if "RevisionNotFoundError" in kinds:
        return ConfigurationError(
            f"{name.repository} has no revision {shown(name.revision)}",
            where="model.path",
            remedy=f"choose a branch, a tag or a commit that {page} shows",
        )
    if "GatedRepoError" in kinds or status == 403:
        account = "the account whose HF_TOKEN is set here" if token else "an account, and set HF_TOKEN to its token"
        return ConfigurationError(
            f"{name.repository} is gated: its owner lets only those have it who accepted its licence",
            where=page,
            remedy=f"accept the licence on {page} with {account}",
        )
    if status == 401 and token:
        return ConfigurationError(
            "the hub does not take the token that is set here, or it does not show this model to it",
            where=page,
            remedy="check the model's name, and HF_TOKEN (or the login of `hf auth login`)",
        )
    if "RepositoryNotFoundError" in kinds or status in (401, 404):
        remedy = "check the model's name; if it is private, set HF_TOKEN to the token of an account that may read it"
        return ConfigurationError(
            f"the hub shows no model {name.repository}: there is none, or it is private", where=page, remedy=remedy
        )
    if number in _STORAGE:
        return storage_error(OSError(number, ""), shown(cache))
    if isinstance(status, int) and (status >= 500 or status == 429):
        return RunFailedError(
            f"the hub answers with status {status}, which is trouble of its own", where=page, remedy="try again later"
        )
    if kinds.intersection(_UNREACHED):
        return RunFailedError(
            f"the hub cannot be reached: {text}",
            where=endpoint,
            remedy="check the network and the proxy, or copy the model here and set model.path to its folder",
        )
    if kinds.intersection(_BROKEN) or "Consistency check failed" in text:
        return RunFailedError(
            f"the connection to the hub broke: {text}",
            where=endpoint,
            remedy="start again: files that were downloaded whole are kept",
        )
    return RunFailedError(f"the download failed: {text}", where=page, remedy="start again, or look at the hub's page")
