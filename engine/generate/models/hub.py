"""Names of models on the Hugging Face hub, and where its local cache keeps them.

A snapshot lies in `models--OWNER--NAME/snapshots/COMMIT`; its files are links into `blobs/`.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from engine.generate.models.reading import read_bytes

_HUB_NAME = re.compile(
    r"(?P<owner>[A-Za-z0-9][\w.-]{0,95})/(?P<name>[A-Za-z0-9_][\w.-]{0,95})(?:@(?P<revision>[\w./-]{1,255}))?", re.ASCII
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubName:
    """A model on the hub: `repository` is OWNER/NAME, `revision` a branch, a tag or a commit (40 hex digits)."""

    repository: str
    revision: str

    def home(self, cache: Path) -> Path:
        """The repository's folder in the hub's `cache`."""
        return cache / f"models--{self.repository.replace('/', '--')}"

    def snapshot(self, cache: Path) -> Path | None:
        """The revision's folder in `cache`, whole or not; None where nothing of it was downloaded."""
        commit: str | None = self.revision
        if not _COMMIT.fullmatch(self.revision):
            commit = _commit_in(self.home(cache) / "refs" / self.revision)
        if commit is None:
            return None
        folder = self.home(cache) / "snapshots" / commit
        return folder if folder.is_dir() else None


def hub_name(path: str) -> HubName | None:
    """What `model.path` names on the hub: `owner/name`, or `owner/name@revision`; None when it names a folder."""
    match = _HUB_NAME.fullmatch(path)
    if match is None:
        return None
    revision = match["revision"] or "main"
    parts = [*match["name"].split("/"), *revision.split("/")]
    # both become names of folders: no way up, and none that the hub does not have
    return HubName(f"{match['owner']}/{match['name']}", revision) if not {"", ".", ".."} & set(parts) else None


def cache_folder(models_dir: Path | None) -> Path:
    """Where the hub's downloads lie: `models_dir`, else what huggingface_hub resolves (HF_HOME and its like)."""
    if models_dir is not None:
        return models_dir.expanduser().absolute()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings that it no longer knows
        from huggingface_hub import constants
    return Path(constants.HF_HUB_CACHE).expanduser().absolute()


def _commit_in(reference: Path) -> str | None:
    try:
        commit = read_bytes(reference, 64).decode("ascii").strip()
    except (OSError, ValueError):
        return None
    return commit if _COMMIT.fullmatch(commit) else None
