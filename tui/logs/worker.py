"""`python -m tui.logs.worker LOG`: looks for lines in a log, in a process of its own.

Python matches an expression without letting go of its lock: one that backtracks for minutes on one line would stop
every thread of the screen. Here it costs its own process, which the kernel ends once a step has taken a second of
processor time; the screen says so and starts another.

Requests and answers are lines of JSON. Each request belongs to a stream and takes the place of the one before it in
that stream, one without a query leaves the stream empty; all of them take turns, counting when nobody waits for
anything else.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tui.logfile import LogFile
from tui.logs.query import Expression, Matcher, Query
from tui.logs.scan import scan

Stream = Literal["spans", "fill", "find", "count"]
Answer = dict[str, Any]
STEP_CPU_S = 1.0
ANSWER_EVERY_S = 0.25
_COUNTED_AT_ONCE = 1 << 62


def main() -> None:
    """Serve until nobody asks any more."""
    path = Path(os.fsdecode(sys.argv[1]))
    jobs: dict[Stream, Iterator[Answer | None]] = {}
    unread = b""
    while True:
        if select.select([0], [], [], 0 if jobs else None)[0]:
            octets = os.read(0, 1 << 16)
            if not octets:
                return
            *lines, unread = (unread + octets).split(b"\n")
            for request in map(json.loads, lines):
                jobs.pop(request["stream"], None)
                if request["query"] is not None:
                    jobs[request["stream"]] = _answers(path, request)
        for stream in [stream for stream in jobs if stream != "count" or len(jobs) == 1]:
            signal.setitimer(signal.ITIMER_VIRTUAL, STEP_CPU_S)
            try:
                answer = next(jobs[stream])
            except StopIteration:
                del jobs[stream]
                continue
            if answer is not None:
                os.write(1, json.dumps(answer).encode() + b"\n")


def _answers(path: Path, request: Answer) -> Iterator[Answer | None]:
    """What a request is answered, in parts, each with the request's stream and number; None between two steps."""
    matcher = Matcher(_query(request["query"]))
    jobs = {"spans": _spans, "fill": _fill, "find": _find, "count": _count}
    for answer in jobs[request["stream"]](path, matcher, request):
        yield answer and {"stream": request["stream"], "id": request["id"], **answer}


def _spans(path: Path, matcher: Matcher, request: Answer) -> Iterator[Answer]:
    """Where the expressions are in the lines of `places`."""
    lines = LogFile(path).lines_at(request["places"])
    yield {"spans": [[line.start, line.text, matcher.spans(line.text)] for line in lines]}


def _fill(path: Path, matcher: Matcher, request: Answer) -> Iterator[Answer | None]:
    """Up to `most` lines that fit from `begin` to `until`, a few at a time."""
    begin, until, back = request["begin"], request["until"], request["back"]
    reached, told = begin, time.monotonic()
    found: list[tuple[int, int]] = []
    for step in scan(path, matcher, begin, until, back=back, most=request["most"]):
        reached = step.reached
        found += step.found
        if time.monotonic() - told < ANSWER_EVERY_S:
            yield None
            continue
        yield {"found": found, "reached": reached, "share": _share(begin, until, reached)}
        found, told = [], time.monotonic()
    yield {"found": found, "reached": reached, "share": 1.0, "done": True}


def _find(path: Path, matcher: Matcher, request: Answer) -> Iterator[Answer | None]:
    """The next line that fits from `begin` on or back from it, then, from the other end, those up to it."""
    begin, back = request["begin"], request["back"]
    file = LogFile(path)
    size, start = file.size() or 0, file.start()
    told = time.monotonic()
    parts = ((begin, start), (size, begin)) if back else ((begin, size), (start, begin))
    seen, whole = 0, max(1, size - start)
    for wrapped, (first, last) in enumerate(parts):
        for step in scan(path, matcher, first, last, back=back, most=1):
            if step.found:
                yield {"found": step.found, "wrapped": bool(wrapped), "done": True}
                return
            if time.monotonic() - told > ANSWER_EVERY_S:
                told = time.monotonic()
                yield {"found": [], "share": min(1.0, (seen + abs(step.reached - first)) / whole)}
            else:
                yield None
        seen += abs(last - first)
    yield {"found": [], "share": 1.0, "done": True}


def _count(path: Path, matcher: Matcher, request: Answer) -> Iterator[Answer | None]:
    """How many lines fit from `begin` to `until`."""
    begin, until = request["begin"], request["until"]
    reached, count, told = begin, 0, time.monotonic()
    for step in scan(path, matcher, begin, until, back=False, most=_COUNTED_AT_ONCE):
        reached = step.reached
        count += len(step.found)
        if time.monotonic() - told < ANSWER_EVERY_S:
            yield None
            continue
        yield {"count": count, "reached": reached}
        told = time.monotonic()
    yield {"count": count, "reached": reached, "done": True}


def _share(begin: int, until: int, reached: int) -> float:
    return min(1.0, abs(reached - begin) / max(1, abs(until - begin)))


def _query(given: Answer) -> Query:
    return Query(given["level"], tuple(Expression(**expression) for expression in given["expressions"]))


if __name__ == "__main__":
    main()
