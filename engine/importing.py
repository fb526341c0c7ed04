"""Takes in a folder that another program made: the seed's three artifacts, or a bare JSONL.

Every row is kept as it is, byte for byte, no cleaning, no deduplication. The script's own figures stand as the run's
metrics; what we compute from its rows stands beside them. Everything is read and checked before anything is made, and
what was made is taken back when the rest fails: the name stays free.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from engine.campaign.models import Campaign, Parameters, Target
from engine.campaign.naming import check_not_an_engine, kind_of
from engine.campaign.parameters import flatten, overlay
from engine.campaign.spec import RunSpec, create_spec, withdraw_spec
from engine.errors import ConfigurationError, NotFoundError, PilothouseError, RefusedError
from engine.files import RunFiles, Workspace, make_private_folder, storage_error, sync_folder
from engine.qc.metrics import is_kept
from engine.replay.campaigns import load_checked
from engine.replay.foreign import foreign_figures, section, whole

DATA, SUMMARY, MANIFEST = "pilot_data.jsonl", "qc_summary.json", "session_manifest.json"

MAY_BE_SILENT = frozenset({"response.stop", "critic.confidence_threshold"})
"""Parameters that a script without them leaves out: it has no stop strings, and the usual threshold."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Source:
    """What lies there, byte for byte; None for what does not."""

    data: bytes | None
    summary: bytes | None = None
    manifest: bytes | None = None
    data_name: str = DATA


@dataclass(frozen=True, slots=True)
class _Rows:
    """`content`: whole lines only. `sampling`: what every row's provenance says of it, empty where they differ."""

    content: bytes
    kept: int
    n: int
    sampling: Json


def import_folder(workspace: Workspace, source: Path, campaign_name: str, run: str, *, author: str) -> str:
    """Make the run `campaign/run` of what `source` holds; returns its id.

    Raises `NotFoundError` when there is nothing to take in, `ConfigurationError` for a file that cannot be read,
    `RefusedError` when a run of that name exists or the run's folder cannot be written.
    """
    campaign = load_checked(workspace.campaign_file(campaign_name))
    check_not_an_engine(run)
    files = workspace.run_files(campaign_name, run)
    found = _read_source(source)
    rows = _rows(found.data or b"", shown(source if source.is_file() else source / found.data_name))
    spec = _spec(workspace, campaign, files, source=source, found=found, rows=rows, author=author)
    contents = {
        files.records: rows.content,
        files.pilot_data: found.data,
        files.qc_summary: found.summary,
        files.session_manifest: found.manifest,
    }
    _create(files, spec, {path: content for path, content in contents.items() if content is not None})
    return spec.id


def _spec(
    workspace: Workspace,
    campaign: Campaign,
    files: RunFiles,
    *,
    source: Path,
    found: _Source,
    rows: _Rows,
    author: str,
) -> RunSpec:
    summary = _json_object(found.summary, source / SUMMARY)
    manifest = _json_object(found.manifest, source / MANIFEST)
    kept_rows = rows.kept if found.data is not None else None
    figures = foreign_figures(summary, campaign.gate, kept_rows=kept_rows, source=shown(source.absolute()))
    if not rows.n and not figures.metrics:
        raise NotFoundError(
            "there is nothing to import: not one row and not one figure", where=shown(source), remedy="check the folder"
        )
    parameters = _parameters(manifest, summary, rows.sampling)
    run = files.folder.name
    try:
        return RunSpec(
            campaign=files.folder.parent.name,
            run=run,
            kind=kind_of(run),
            author=author,
            workspace=str(workspace.root.absolute()),
            model=campaign.model,
            target=_target(manifest, campaign, figures.counts.get("kept", rows.kept)),
            parameters=parameters or campaign.parameters,
            parameters_known=parameters is not None,
            qc=campaign.qc,
            gate=campaign.gate,
            policy=campaign.policy,
            budget=campaign.budget,
            imported=figures,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(
            f"cannot be written down as a run: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            where=shown(files.folder),
            remedy="use names of folders and users that are UTF-8",
        ) from error


def _create(files: RunFiles, spec: RunSpec, contents: Mapping[Path, bytes]) -> None:
    """Claim the name and write; all of it is taken back when a part fails."""
    make_private_folder(files.folder)
    create_spec(files, spec)
    written: list[Path] = []
    try:
        for path, content in contents.items():
            _write_once(path, content, written)
        sync_folder(files.folder)
    except BaseException as error:
        with suppress(OSError):
            for path in written:
                path.unlink(missing_ok=True)
        with suppress(OSError):
            withdraw_spec(files)
        if isinstance(error, OSError):
            raise storage_error(error, files.folder) from error
        raise


def _write_once(path: Path, content: bytes, written: list[Path]) -> None:
    """Write a file that is not there yet and note it in `written`; the very same content (a folder imported where it
    lies) may be there, anything else stays untouched."""
    try:
        stream = path.open("xb")
    except FileExistsError as error:
        if path.is_file() and path.read_bytes() == content:
            return
        raise RefusedError(
            "another file of that name lies there", where=shown(path), remedy="move it away, or take another --run"
        ) from error
    written.append(path)
    with stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


# --- reading -----------------------------------------------------------------------------------------------------


def shown(path: Path) -> str:
    r"""The path as text that can be written down: bytes that are not UTF-8 as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_source(source: Path) -> _Source:
    try:
        if source.is_file():
            return _Source(_content(source))
        if not source.is_dir():
            raise NotFoundError(
                "there is nothing to import", where=shown(source), remedy="name a folder or a .jsonl file"
            )
        summary, manifest = _content(source / SUMMARY), _content(source / MANIFEST)
        name, data = DATA, _content(source / DATA)
        if data is None:
            others = sorted(path for path in source.glob("*.jsonl") if path.is_file())
            if len(others) == 1:
                name, data = others[0].name, _content(others[0])
            elif others or summary is None:
                raise NotFoundError(
                    f"the folder has no {DATA}" + (f" but {len(others)} other .jsonl files" if others else ""),
                    where=shown(source),
                    remedy="name the .jsonl file itself",
                )
        return _Source(data, summary, manifest, name)
    except OSError as error:
        raise _unreadable(error, source) from error


def _unreadable(error: OSError, path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"cannot be read: {error.strerror or error}", where=shown(path), remedy="check the file and its permissions"
    )


def _content(path: Path) -> bytes | None:
    """The file's bytes; None when there is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(
                "is not a file", where=shown(path), remedy="move it away, or name the .jsonl file itself"
            )
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(error, path) from error


def _json_object(content: bytes | None, path: Path) -> dict[str, Any] | None:
    if content is None:
        return None
    try:
        value = json.loads(content.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError) as error:
        raise _not_an_object(path, error) from error
    if not isinstance(value, dict):
        raise _not_an_object(path)
    return value


def _not_an_object(path: Path, error: Exception | None = None) -> ConfigurationError:
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error or "")
    return ConfigurationError(
        f"not a JSON object{reason and f' ({reason})'}",
        where=shown(path),
        remedy="mend or remove the file, then import again",
    )


def _rows(data: bytes, where: str) -> _Rows:
    """The file's lines, checked to be JSON objects as replay reads them; a half-written last line is left out."""
    lines = data.split(b"\n")
    torn, kept, n = b"", 0, 0
    sampling: Json | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = from_json(line)
        except ValueError as error:
            if number == len(lines) and _half_written(line, error):
                torn = line
                break
            raise _bad_row(where, number, f" ({error})") from error
        if not isinstance(row, dict):
            raise _bad_row(where, number)
        n, kept = n + 1, kept + is_kept(row)
        provenance = section(row, "provenance")
        stated = {name: provenance.get(name) for name in ("parameters", "sampling", "seed")}
        sampling = stated if sampling is None or sampling == stated else {}
    content = data[: len(data) - len(torn)]
    if content and not content.endswith(b"\n"):
        content += b"\n"
    return _Rows(content, kept, n, sampling or {})


def _half_written(line: bytes, error: ValueError) -> bool:
    return "EOF" in str(error) or not line.rstrip().endswith(b"}")


def _bad_row(where: str, number: int, reason: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"the line is not a JSON object{reason}", where=f"{where}:{number}", remedy="mend or remove it"
    )


# --- what the files say of the run -------------------------------------------------------------------------------


def _target(manifest: Json | None, campaign: Campaign, kept: int) -> Target:
    """Where the manifest states it; else the campaign's, and never less than what was kept."""
    stated = section(manifest, "target")
    examples = max(1, whole(stated.get("examples")) or campaign.target.examples, kept)
    limit = whole(stated.get("max_candidates"))
    try:
        return Target(examples=examples, max_candidates=limit if limit is not None and limit >= examples else None)
    except ValidationError:
        return campaign.target


def _parameters(manifest: Json | None, summary: Json | None, provenance: Json) -> Parameters | None:
    """The run's parameters where a file or every row's provenance states them by our names; None: not known."""
    for place in (manifest, summary, provenance):
        for name in ("parameters", "sampling"):
            stated = section(place, name)
            known = _stated_parameters({"seed": (place or {}).get("seed"), **stated}) if stated else None
            if known is not None:
                return known
    return None


def _stated_parameters(stated: Json) -> Parameters | None:
    """Of nested or dotted names (`response.temperature`); None unless all that a run has are there and in range."""
    flat = dict(_flat(stated))
    if not set(flatten(Parameters())) - MAY_BE_SILENT <= set(flat):
        return None
    changes: dict[str, Any] = {}
    for key, value in flat.items():
        group, dot, name = key.partition(".")
        if dot:
            changes.setdefault(group, {})[name] = value
        else:
            changes[group] = value
    try:
        return overlay(Parameters(), changes, where="parameters")
    except (PilothouseError, ValidationError, TypeError, AttributeError):
        return None


def _flat(stated: Json) -> Iterator[tuple[str, Any]]:
    for key, value in stated.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", content) for name, content in value.items())
        else:
            yield key, value
