"""Reads a YAML file that anybody may have written: bounded before it is built, and every key with its line.

A file may be a pipe, nest without end or stand for more than fits into memory. All that is wrong with it comes out
as one `ConfigurationError` that says what, where and what to do.
"""

from __future__ import annotations

import math
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.errors import ConfigurationError, NotFoundError
from engine.logs.sanitise import sanitise

LARGEST_FILE = 1_000_000
MOST_NODES = 100_000
DEEPEST = 40
"""Bytes of a file, values in it with every alias written out, and levels of nesting."""

Location = tuple[int | str, ...]

# --- YAML, bounded -----------------------------------------------------------------------------------------------

_TAG = "tag:yaml.org,2002:"
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")


class _Unusable(Exception):
    """Valid or not, this YAML is not taken: `what` is wrong at `mark`."""

    def __init__(self, what: str, mark: Any, remedy: str) -> None:
        super().__init__(what)
        self.what, self.mark, self.remedy = what, mark, remedy


def _whole_number(_: Any, node: Any) -> int:
    """YAML 1.1 also reads 0100 as 64 and 1:30 as 90: such a number is hardly ever meant."""
    if not _DECIMAL.fullmatch(node.value):
        what = f"{shown(node.value)} is not a decimal number: YAML reads it to another base"
        raise _Unusable(what, node.start_mark, "write it in decimal, without leading zeros; put a text in quotes")
    try:
        return int(node.value.replace("_", ""))
    except ValueError as error:
        raise _Unusable(f"{shown(node.value)} has too many digits", node.start_mark, "write a number") from error


def _number(loader: Any, node: Any) -> float:
    if ":" in node.value:
        what = f"{shown(node.value)} is not a decimal number: YAML reads it to base 60"
        raise _Unusable(what, node.start_mark, "put a text in quotes")
    value = float(yaml.constructor.SafeConstructor.construct_yaml_float(loader, node))
    if not math.isfinite(value):
        raise _Unusable(f"{shown(node.value)} is not a finite number", node.start_mark, "write a number")
    return value


def _loader_class() -> Any:
    """The C loader where there is one; dates stay texts, numbers are decimal."""
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("_Loader", (base,), {})
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag != f"{_TAG}timestamp"]
        for first, pairs in base.yaml_implicit_resolvers.items()
    }
    loader.add_constructor(f"{_TAG}int", _whole_number)
    loader.add_constructor(f"{_TAG}float", _number)
    return loader


_Loader = _loader_class()


def _check_events(text: str) -> None:
    """Refuse what must not even be composed: the parser builds nodes by recursion."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        nodes += 1
        depth += isinstance(event, yaml.CollectionStartEvent)
        if depth > DEEPEST:
            raise _Unusable(f"nested more than {DEEPEST} deep", event.start_mark, "close the brackets before it")
        if nodes > MOST_NODES:
            raise _Unusable(f"over {MOST_NODES:,} values", event.start_mark, "is this the right file?")
        tag = getattr(event, "tag", None)
        if tag is not None:
            what = f"the tag {shown(tag)} is not taken here"
            raise _Unusable(what, event.start_mark, "leave the tag out; put a text in quotes")


def _measure(node: yaml.Node, seen: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Size and height of `node` with every alias written out; keys are checked on the way.

    An alias stands for what came before it, so that the recursion is as deep as the text is nested and no deeper.
    """
    if isinstance(node, yaml.ScalarNode):
        if "\0" in node.value:
            raise _Unusable("a text holds the character NUL", node.start_mark, "leave the \\0 out")
        return 1, 0
    if id(node) in seen:
        known = seen[id(node)]
        if known is None:
            what = "an alias (*) stands inside the very value that it repeats"
            raise _Unusable(what, node.start_mark, "write the value out instead")
        return known
    seen[id(node)] = None
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        children = [part for pair in node.value for part in pair]
    else:
        children = node.value
    size, height = 1, 0
    for child in children:
        more, below = _measure(child, seen)
        size, height = size + more, max(height, below + 1)
        if size > MOST_NODES or height > DEEPEST:
            what = f"with its aliases (*) written out this is over {MOST_NODES:,} values, or {DEEPEST} deep"
            raise _Unusable(what, node.start_mark, "write the values out instead")
    seen[id(node)] = size, height
    return size, height


def _check_keys(node: yaml.MappingNode) -> None:
    first_lines: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _Unusable(
                "a key must be a word, not a list or a mapping", key.start_mark, "write it as `word: value`"
            )
        if key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
            kind = {"bool": "true or false", "int": "a number", "float": "a number"}.get(
                key.tag.removeprefix(_TAG), "no value"
            )
            what = f"YAML reads the key {shown(key.value)} as {kind}"
            raise _Unusable(what, key.start_mark, f"put it in quotes: '{short(key.value)}'")
        line = key.start_mark.line + 1
        if key.value in first_lines:
            things = "values" if isinstance(value, yaml.ScalarNode) else "blocks"
            what = f"two {short(key.value)}: {things}; the first, on line {first_lines[key.value]}, would be ignored"
            raise _Unusable(what, key.start_mark, "remove one of them, or make one of both")
        first_lines[key.value] = line


def _built(text: str) -> tuple[yaml.Node | None, Any]:
    """The one document in `text`: its nodes, and the value that they make."""
    _check_events(text)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None, None
        _measure(root, {})
        return root, loader.construct_document(root)
    finally:
        loader.dispose()


class EmptyFileError(ConfigurationError):
    """A file with nothing in it, or with nothing but comments."""


# --- files -------------------------------------------------------------------------------------------------------


def read_text_file(path: Path) -> tuple[bytes, str]:
    """Bytes and text of a regular file; `OSError`, or a `ValueError` that says what else is wrong with it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(LARGEST_FILE + 1)
    finally:
        os.close(descriptor)
    if len(data) > LARGEST_FILE:
        raise ValueError(f"it is larger than {LARGEST_FILE:,} bytes")
    try:
        return data, data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8 text") from error


def reason_of(error: OSError | ValueError) -> str:
    return (error.strerror or "unknown cause") if isinstance(error, OSError) else str(error)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file whose top level is a mapping, read and bounded, with the line of every key."""

    path: Path
    root: yaml.Node
    value: dict[str, Any]

    def place(self, *location: int | str) -> str:
        """`FILE:LINE, key.path`; the line is that of the innermost key on the way that stands in the file."""
        key = key_path(location)
        line = self._line(location)
        return f"{self.path}:{line}, {key}" if line is not None else f"{self.path}, {key}"

    def _line(self, location: Location) -> int | None:
        node, line = self.root, None
        for part in location:
            if isinstance(node, yaml.MappingNode):
                found = next((pair for pair in reversed(node.value) if pair[0].value == part), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                found = (node.value[part], node.value[part])
            else:
                found = None
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        return line


def key_path(location: Location) -> str:
    """`gate.checks.runaway_rate`, in characters that a terminal may be given."""
    return sanitise(".".join(str(part) for part in location), 120) or "the file"


def short(text: str) -> str:
    """`text` on one line, safe for a terminal, at most 60 characters."""
    return sanitise(text, 60)


def shown(value: object) -> str:
    """A scalar of a YAML file as a message quotes it."""
    if value is None:
        return "empty"
    return short(str(value).lower() if isinstance(value, bool) else repr(value))


def read_document(path: Path) -> Document:
    """The YAML mapping in `path`.

    Raises `NotFoundError` when there is no such file, `EmptyFileError` when nothing stands in it, a
    `ConfigurationError` of another kind when it is no regular file, too large, no
    YAML, or YAML that is not taken here: keys twice, keys that are no words, tags, endless or exploding aliases.
    """
    try:
        data, text = read_text_file(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError("there is no such file", where=str(path), remedy="check the name") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"cannot be read: {reason_of(error)}", where=str(path), remedy="put a text file in its place"
        ) from error
    try:
        root, value = _built(text)
    except _Unusable as error:
        place = f"{path}:{error.mark.line + 1}"
        raise ConfigurationError(error.what, where=place, remedy=error.remedy) from error
    except yaml.YAMLError as error:
        raise _not_yaml(path, data, error) from error
    if not isinstance(value, dict) or root is None:
        kind = EmptyFileError if root is None else ConfigurationError
        raise kind(
            "the file is not a mapping of keys",
            where=str(path),
            remedy="write `key: value` lines, as in configs/demo.yaml",
        )
    return Document(path, root, value)


def _not_yaml(path: Path, data: bytes, error: yaml.YAMLError) -> ConfigurationError:
    remedy = "mend that line"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        if "cannot start any token" in problem:
            remedy = "indent with blanks, never tabs; quote a text that starts with one of @ ` % * & !"
    else:
        before = data[: getattr(error, "position", 0)]
        line = f":{before.count(10) + 1}"
        problem = str(getattr(error, "reason", error)).splitlines()[0]
    return ConfigurationError(f"not valid YAML: {sanitise(problem, 200)}", where=f"{path}{line}", remedy=remedy)
