"""vLLM's loop detector, as `model.options.repetition_detection` asks for it, whichever way vLLM is reached."""

from __future__ import annotations

from engine.errors import ConfigurationError
from engine.logs.sanitise import sanitise

WHERE = "model.options.repetition_detection"
_SIZES = ("max_pattern_size", "min_pattern_size", "min_count")


def parse_repetition(value: object) -> dict[str, int] | None:
    """What every request says: a pattern of that many tokens, `min_count` times in a row, ends the text. None: nothing.

    As vLLM's `RepetitionDetectionParams`: a largest size of 0 switches it off, a least of 0 means 1. Raises
    `ConfigurationError` that names the key.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ConfigurationError(
            "this is a mapping", where=WHERE, remedy="write {max_pattern_size: 20, min_pattern_size: 1, min_count: 4}"
        )
    sizes = dict.fromkeys(_SIZES, 0)
    for key, size in value.items():
        place = f"{WHERE}.{sanitise(str(key), 100)}"
        if key not in sizes:
            raise ConfigurationError("there is no such key", where=place, remedy=f"known are {', '.join(_SIZES)}")
        if type(size) is not int or size < 0:
            raise ConfigurationError(
                "this is no whole number from 0 on", where=place, remedy="write a number of tokens"
            )
        sizes[key] = size
    if sizes["min_pattern_size"] > sizes["max_pattern_size"]:
        raise ConfigurationError(
            "min_pattern_size is over max_pattern_size", where=WHERE, remedy="raise max_pattern_size"
        )
    if sizes["max_pattern_size"] == 0:
        return None
    if sizes["min_count"] < 2:
        raise ConfigurationError(
            "min_count must be 2 or more: a pattern repeats from its second time on",
            where=WHERE,
            remedy="write min_count: 4, say, or max_pattern_size: 0 to detect nothing",
        )
    return sizes | {"min_pattern_size": max(1, sizes["min_pattern_size"])}
