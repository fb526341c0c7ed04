"""Detectors of a campaign's own: how they are found, asked about one record at a time, and confined when they err.

Their code runs in whatever process grades: the generator, and everyone who looks at the run. What it raises, returns
or changes stays with the one record; what cannot be imported any more judges nothing, so that an old run can still be
looked at. Found modules are kept as Python keeps them: one process works in one workspace.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.campaign.grading import CustomDetector, Over, QcConfig
from engine.errors import ConfigurationError
from engine.logs.sanitise import sanitise
from engine.qc.detectors import Detector, Record, Span, resolve_detectors
from engine.qc.metrics import METRICS, critic, is_generated, is_kept, rate_of

ENTRY_POINTS = "pilothouse.detectors"
ERROR_CHARACTERS = 200

_IS_OVER: dict[Over, Callable[[Record], bool]] = {
    "parsed": lambda _: True,
    "candidates": lambda record: critic(record, "instruction_critic") is not None,
    "generated": is_generated,
    "kept": is_kept,
}


class _Unusable(Exception):
    """What a custom detector returned, did to the record, or is called by cannot be used."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`count`: 1 flagged, 0 not, None not asked or not to be judged; `error` why it failed, safe to show."""

    count: int | None = None
    spans: tuple[Span, ...] = ()
    error: str = ""


_NOT_ASKED = Answer()


@dataclass(frozen=True, slots=True)
class LoadedDetector:
    """A custom detector with its function; without one where that could not be loaded, and `failure` says why."""

    name: str
    over: Over
    source: str
    function: Callable[[dict[str, Any]], Any] | None
    failure: str = ""

    def ask(self, record: Record) -> Answer:
        """What it says of `record`. Nothing it raises comes through but what a person asks for (KeyboardInterrupt)."""
        if not _IS_OVER[self.over](record):
            return _NOT_ASKED
        if self.function is None:
            return Answer(error=self.failure)
        try:
            given = {key: value for key, value in record.items() if key != "flags"}
            copy = _copied(given)
            said = self.function(copy)
            if copy != given:
                raise _Unusable("it changed the record, which is for reading only")
            return _answer(said, given)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return Answer(error=_described(error))

    def detector(self) -> Detector:
        """As one of `detectors_of`; it is taken to read the raw completion, since it may."""
        return Detector(
            kind=self.name,
            name=self.source,
            version=None,
            count=lambda record: self.ask(record).count,
            spans=lambda record: list(self.ask(record).spans),
            reads_raw=True,
        )


def _copied(value: Any) -> Any:
    """A copy of JSON, deep enough that nothing done to it reaches the original. Raises `RecursionError`."""
    if type(value) is dict:
        return {key: _copied(inner) if type(inner) in (dict, list) else inner for key, inner in value.items()}
    return [_copied(inner) for inner in value] if type(value) is list else value


def _answer(said: Any, record: Record) -> Answer:
    if said is None:
        return _NOT_ASKED
    if isinstance(said, bool):
        return Answer(int(said))
    if not isinstance(said, list):
        raise _Unusable(f"it returned {type(said).__name__}, not True, False, None or a list of spans")
    spans = tuple(_span(one, record) for one in said)
    return Answer(int(bool(spans)), spans)


def _span(said: Any, record: Record) -> Span:
    if isinstance(said, tuple | list) and len(said) == 3:
        field, start, end = said
        text = record.get(field) if isinstance(field, str) else None
        if isinstance(text, str) and type(start) is int and type(end) is int and 0 <= start <= end <= len(text):
            return field, start, end
    raise _Unusable("a span it returned is not (field, start, end) within a text of the record")


def _described(error: BaseException) -> str:
    """An error's kind and words, neither of which is ours, as one safe line."""
    if isinstance(error, _Unusable):
        return str(error)
    try:
        words = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:
        words = ""
    return sanitise(f"{type(error).__name__}: {words}" if words else type(error).__name__, ERROR_CHARACTERS)


# --- finding them ------------------------------------------------------------------------------------------------


def detectors_of(qc: QcConfig, delimiter: str, folders: Sequence[str] = ()) -> dict[str, Detector]:
    """All detectors of `qc`, the built-in ones by kind and its own by name. `folders` are where its own may be found,
    beside what is installed; one that is not found judges nothing. `ConfigurationError` for an unknown built-in one."""
    own = {loaded.name: loaded.detector() for loaded in load_custom(qc, folders)}
    return {**resolve_detectors(qc, delimiter), **own}


def load_custom(qc: QcConfig, folders: Sequence[str] = ()) -> list[LoadedDetector]:
    """The custom detectors of `qc`, in their order. Never raises for one that cannot be loaded: it tells why."""
    return [_loaded(name, custom, folders) for name, custom in qc.custom.items()]


def check_custom(qc: QcConfig, folders: Sequence[str] = ()) -> None:
    """`ConfigurationError` for the first custom detector whose name is taken or that cannot be loaded."""
    for name, custom in qc.custom.items():
        if rate_of(name) in METRICS:
            raise ConfigurationError(
                f"qc.custom.{name}: there is a built-in metric {rate_of(name)}",
                where=f"qc.custom.{name}",
                remedy="give the detector another name",
            )
        failure = _loaded(name, custom, folders).failure
        if failure:
            raise ConfigurationError(
                f"qc.custom.{name}: {failure}",
                where=f"qc.custom.{name}",
                remedy=_remedy(custom, folders),
            )


def _remedy(custom: CustomDetector, folders: Sequence[str]) -> str:
    if custom.call is None:
        return f"install the package that offers it in the group {ENTRY_POINTS}, or use call: module:function"
    file = custom.call.partition(":")[0].replace(".", "/") + ".py"
    here = f"look at {Path(folders[0]) / file}, or " if folders else ""
    return f"{here}install the package that has it"


def _loaded(name: str, custom: CustomDetector, folders: Sequence[str]) -> LoadedDetector:
    source = custom.call if custom.call is not None else f"entry point {custom.entry_point}"
    source = sanitise(source, ERROR_CHARACTERS)
    try:
        function = _called(custom.call, folders) if custom.call is not None else _offered(str(custom.entry_point))
        if not callable(function):
            raise _Unusable(f"{source} is {type(function).__name__}, not a function")
    except _Unusable as error:
        return LoadedDetector(name, custom.over, source, None, str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return LoadedDetector(name, custom.over, source, None, f"{source} cannot be imported: {_described(error)}")
    return LoadedDetector(name, custom.over, source, function)


def _called(call: str, folders: Iterable[str]) -> Any:
    """The object that `module:function` names. `folders` come last on the path: they hide nothing that is installed."""
    for folder in folders:
        if folder and folder not in sys.path and Path(folder).is_dir():
            sys.path.append(folder)
    module_name, _, path = call.partition(":")
    importlib.invalidate_caches()
    found: Any = importlib.import_module(module_name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            place = sanitise(str(getattr(sys.modules[module_name], "__file__", None) or module_name))
            raise _Unusable(f"there is no {path} in {place}") from None
    return found


def _offered(name: str) -> Any:
    from importlib.metadata import entry_points

    offered = entry_points(group=ENTRY_POINTS)
    if name not in offered.names:
        known = ", ".join(sorted(offered.names)) or "none"
        raise _Unusable(sanitise(f"there is no entry point {name!r} in {ENTRY_POINTS} (installed: {known})"))
    return offered[name].load()


def failures_in_words(failures: Mapping[str, tuple[int, str]]) -> list[str]:
    """`custom detector refusal failed on 3 records: ZeroDivisionError: …`, of (records, first error) by name."""
    return [
        f"custom detector {name} failed on {n} record{'' if n == 1 else 's'}: {error}"
        for name, (n, error) in failures.items()
    ]
