"""Where everything lies: one class names every file of a run, one every folder of a workspace.

Whole files are written to a temporary name, synced and renamed, so that a reader sees the old or the new text
and never half of one. Folders are private to their owner (0700): records may hold unpublished data.
"""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError, NotFoundError, PilothouseError, RefusedError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESTART = "restart the run: nothing written is lost"
_SURROGATES = re.compile("[\ud800-\udfff]")


def checked_name(name: str, what: str) -> str:
    """Return `name` if it can safely be one path component, else raise `ConfigurationError`."""
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f"{what} {name!r} is not a usable name",
            remedy="use letters, digits, '.', '_' and '-', at most 64, starting with a letter or digit",
        )
    return name


def make_private_folder(path: Path, *, then: str = RESTART) -> Path:
    """Create `path` with its parents, 0700; raise a `RefusedError` that names the cause when that fails."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path, then=then) from error
    return path


def storage_error(error: OSError, path: Path | str, *, then: str = RESTART) -> PilothouseError:
    """Turn an `OSError` from writing under `path` into an error that says what to do; `then`: once there is room."""
    remedies = {
        errno.ENOSPC: f"free some space on that file system, then {then}",
        errno.EDQUOT: f"your disk quota is used up: free some space, then {then}",
        errno.EROFS: "the file system is read-only: choose a folder that can be written",
        errno.EACCES: "make the folder writable for this user, or choose another",
        errno.EPERM: "make the folder writable for this user, or choose another",
        errno.ENOTDIR: "a file stands where a folder is needed: remove it or choose another folder",
        errno.EEXIST: "a file stands where a folder is needed: remove it or choose another folder",
    }
    remedy = remedies.get(error.errno or 0, "check the folder and the disk, then try again")
    return RefusedError(f"cannot write: {os.strerror(error.errno or 0)}", where=str(path), remedy=remedy)


def well_formed(text: str) -> str:
    """`text` with U+FFFD for each lone surrogate, as an argument or a user's name has for what is not UTF-8."""
    return _SURROGATES.sub("\ufffd", text)


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` by `text`, made `well_formed`, so that a crash leaves the old or the new file, synced to disk.

    Raises `OSError` as the file system does; nothing is left behind then.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(well_formed(text))
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` of `value` as indented JSON."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`; None when the file does not exist or holds no JSON object that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def file_identity(path: Path) -> tuple[int, int] | None:
    """Which file `path` names just now, None for none: another one may have taken its place."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Names every file of one run, whose folder is `artifacts/<campaign>/<run>/`."""

    folder: Path

    @property
    def spec(self) -> Path:
        """Frozen at launch; written once by the command that launches."""
        return self.folder / "spec.json"

    @property
    def keeper(self) -> Path:
        """Identity of the keeper and of what it keeps; written by the keeper."""
        return self.folder / "keeper.json"

    @property
    def keeper_journal(self) -> Path:
        return self.folder / "keeper.jsonl"

    def aftermath(self, attempt: int) -> Path:
        """Journal of what the keeper of `attempt` did once the attempt's end was recorded."""
        return self.folder / f"aftermath-{attempt}.jsonl"

    @property
    def keeper_log(self) -> Path:
        """What the keeper itself printed, which is nothing unless it broke."""
        return self.folder / "keeper.log"

    @property
    def exit(self) -> Path:
        """True exit code and reason of the last attempt; written by the keeper."""
        return self.folder / "exit.json"

    @property
    def generator_journal(self) -> Path:
        return self.folder / "generator.jsonl"

    @property
    def records(self) -> Path:
        return self.folder / "records.jsonl"

    @property
    def log(self) -> Path:
        """The generator's stdout and stderr."""
        return self.folder / "run.log"

    @property
    def engine(self) -> Path:
        """Of a kept engine: where it answers; written by its keeper."""
        return self.folder / "engine.json"

    def neighbour(self, name: str) -> RunFiles:
        """The files of another run, or engine, of the same campaign."""
        return RunFiles(self.folder.parent / checked_name(name, "run"))

    @property
    def requests(self) -> Path:
        """One file per request from a viewer."""
        return self.folder / "requests"

    @property
    def marks(self) -> Path:
        """One file per mark that a person set on a flagged sample."""
        return self.folder / "marks"

    @property
    def gradings(self) -> Path:
        """One file per grading that was saved after the run's own, numbered from 1."""
        return self.folder / "gradings"

    @property
    def saves(self) -> Path:
        """The campaign's row of saved gradings, in a folder that no run can be called; numbered from 1."""
        return self.folder.parent / ".gradings"

    @property
    def pilot_data(self) -> Path:
        return self.folder / "pilot_data.jsonl"

    @property
    def qc_summary(self) -> Path:
        return self.folder / "qc_summary.json"

    @property
    def session_manifest(self) -> Path:
        return self.folder / "session_manifest.json"

    @property
    def launch_claim(self) -> Path:
        """Created with O_EXCL by whoever launches the run: a name is taken once."""
        return self.folder / "launch.claim"

    def archive(self, attempt: int) -> Path:
        """Where `restart --fresh` puts what an attempt made."""
        return self.folder / "archive" / f"attempt-{attempt}"

    def claim(self, attempt: int) -> Path:
        """Created with O_EXCL by whoever starts `attempt`: each attempt can be claimed once, ever."""
        return self.folder / f"attempt-{attempt}.claim"


@dataclass(frozen=True, slots=True)
class IdleFiles:
    """Names the files of a campaign's idle countdown, in `artifacts/<campaign>/.idle/`, which no run can be called."""

    folder: Path

    @property
    def watch(self) -> Path:
        """The countdown and who watches; written by the idle watcher."""
        return self.folder / "watch.json"

    @property
    def log(self) -> Path:
        """What the idle watcher printed, which is nothing unless it broke."""
        return self.folder / "watch.log"

    @property
    def requests(self) -> Path:
        """One file per request to cancel, from a viewer."""
        return self.folder / "requests"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that holds `configs/` and `artifacts/`."""

    root: Path

    @property
    def configs(self) -> Path:
        return self.root / "configs"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    def campaign_file(self, campaign: str) -> Path:
        """Path of the campaign's YAML file; `NotFoundError` when there is none."""
        checked_name(campaign, "campaign")
        for suffix in (".yaml", ".yml"):
            path = self.configs / f"{campaign}{suffix}"
            if path.is_file():
                return path
        known = ", ".join(path.stem for path in self.campaign_files()) or "none"
        raise NotFoundError(
            f"there is no campaign {campaign!r}",
            where=str(self.configs),
            remedy=f"campaigns here: {known}; start in the folder that holds configs/, or run `pilothouse demo`",
        )

    def campaign_files(self) -> list[Path]:
        """Every campaign file, sorted by name: regular files only, or links to such."""
        if not self.configs.is_dir():
            return []
        try:
            return sorted(p for p in self.configs.iterdir() if p.suffix in (".yaml", ".yml") and p.is_file())
        except OSError as error:
            place = str(error.filename or self.configs)
            raise ConfigurationError(
                f"cannot be read: {error.strerror}", where=place, remedy="make it readable"
            ) from error

    def run_files(self, campaign: str, run: str) -> RunFiles:
        return RunFiles(self.artifacts / checked_name(campaign, "campaign") / checked_name(run, "run"))

    def idle_files(self, campaign: str) -> IdleFiles:
        return IdleFiles(self.artifacts / checked_name(campaign, "campaign") / ".idle")

    def split_run_id(self, run_id: str) -> tuple[str, str]:
        """`campaign/run` taken apart; `ConfigurationError` when it is not of that form."""
        campaign, slash, run = run_id.partition("/")
        if not slash or "/" in run:
            raise ConfigurationError(
                f"{run_id!r} does not name a run", remedy="name it as CAMPAIGN/RUN, e.g. demo/pilot"
            )
        return checked_name(campaign, "campaign"), checked_name(run, "run")

    def existing_run(self, run_id: str) -> RunFiles:
        """Files of the run `campaign/run`; `NotFoundError` when no such run was launched or imported."""
        campaign, run = self.split_run_id(run_id)
        files = self.run_files(campaign, run)
        if not files.spec.is_file():
            known = ", ".join(f"{campaign}/{other.folder.name}" for other in self.runs_of(campaign)) or "none"
            raise NotFoundError(f"there is no run {run_id!r}", where=str(files.folder), remedy=f"runs here: {known}")
        return files

    def campaigns_with_runs(self) -> list[str]:
        """Names of the folders under `artifacts/` that hold runs, sorted."""
        if not self.artifacts.is_dir():
            return []
        folders = (entry for entry in self.artifacts.iterdir() if NAME.fullmatch(entry.name))
        return sorted(folder.name for folder in folders if any(True for _ in self.runs_of(folder.name)))

    def runs_of(self, campaign: str) -> Iterator[RunFiles]:
        """Every run of `campaign` that has a spec, in no particular order."""
        folder = self.artifacts / campaign
        if not folder.is_dir():
            return
        for entry in folder.iterdir():
            files = RunFiles(entry)
            if files.spec.is_file():
                yield files
