"""What is looked for in a log, what was found, where expressions are in the lines in sight, how many lines fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tui.logfile import LogFile, LogLine
from tui.logs.query import Query
from tui.logs.reading import Reading
from tui.logs.searcher import LogSearcher

ERRORS = Query("errors")
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and whether towards the start."""

    query: Query
    back: bool = False

    def __str__(self) -> str:
        return "errors" if self.query == ERRORS else " ".join(map(str, self.query.expressions))


class Finder:
    """Goes from one line that fits to the next in what `reading` shows. `share` is how far a search is, None while
    there is none; `note` what came of the last one."""

    def __init__(self, file: LogFile, searcher: LogSearcher, reading: Reading) -> None:
        self._file, self._searcher, self._reading = file, searcher, reading
        self._back = False
        self._spans: dict[int, tuple[str, Sequence[Span]]] = {}
        self._counted_from = self._counted_to = 0
        self.search: Search | None = None
        self.hit: LogLine | None = None
        self.share: float | None = None
        self.note = ""
        self.counted = 0

    # --- going to lines ------------------------------------------------------------------------------------------

    def start(self, search: Search) -> None:
        """Go to the next line that fits, from what is in sight on."""
        self._take(search)
        self.step()

    def first_error(self) -> None:
        """Go to the first line that tells of an error; from one that was gone to, to the next."""
        if self.search is not None and self.search.query == ERRORS and self.hit is not None:
            self._find(self.hit.end, back=False)
        else:
            self._take(Search(ERRORS))
            self._find(self._reading.start, back=False)

    def step(self, *, against: bool = False) -> None:
        """Go to the next line that fits, or `against` the search's direction."""
        if self.search is None:
            return
        back = self.search.back != against
        rows = self._reading.rows()
        if self.hit is not None:
            self._find(self.hit.start if back else self.hit.end, back=back)
        else:
            self._find((rows[-1][0].end if back else rows[0][0].start) if rows else 0, back=back)

    def stop(self) -> None:
        """Look no further."""
        self._searcher.stop("find")
        self.share = None

    def forget(self) -> None:
        """Have looked for nothing."""
        self.stop()
        self._take(None)

    def _take(self, search: Search | None) -> None:
        self.search, self.hit, self.note = search, None, ""
        self._spans.clear()

    def _find(self, offset: int, *, back: bool) -> None:
        assert self.search is not None
        self.note, self._back = "", back
        asked = self._searcher.ask("find", self._reading.filter & self.search.query, begin=offset, back=back)
        self.share = 0.0 if asked else None

    def found(self, answer: dict[str, Any]) -> None:
        """Stand still where the line that was found is in sight; one that is already stays where it is."""
        if not answer.get("done"):
            self.share = answer["share"]
            return
        self.share = None
        lines = self._file.lines_at(answer["found"])
        if not lines:
            self.hit, self.note = None, "no match" if self.search != Search(ERRORS) else "there are none"
            return
        self.hit = lines[0]
        if answer["wrapped"]:
            self.note = "from the end again" if self._back else "from the start again"
        if any(line.start == self.hit.start for line, _ in self._reading.rows()):
            self._reading.pause()
        else:
            self._reading.show(self.hit.start, below=self._reading.height // 3)

    # --- lifting out ---------------------------------------------------------------------------------------------

    @property
    def lifted(self) -> Query:
        """The expressions that are lifted out where they stand."""
        search = self.search.query.expressions if self.search is not None else ()
        return Query(expressions=(*search, *self._reading.filter.expressions))

    def spans(self, line: LogLine) -> Sequence[Span]:
        """Where they are in a line, as far as that is known."""
        text, spans = self._spans.get(line.start, ("", ()))
        return spans if text == line.text else ()

    def ask_spans(self, lines: Sequence[LogLine]) -> None:
        """Have found out where the expressions are in these lines; those of others are forgotten."""
        if not self.lifted or self._searcher.asked("spans"):
            return
        self._spans = {line.start: self._spans[line.start] for line in lines if line.start in self._spans}
        new = [line for line in lines if self._spans.get(line.start, ("", ()))[0] != line.text]
        if new:
            self._searcher.ask("spans", self.lifted, places=[(line.start, line.end) for line in new])

    def lift(self, answer: dict[str, Any]) -> None:
        self._spans |= {start: (text, [(low, high) for low, high in spans]) for start, text, spans in answer["spans"]}

    # --- counting ------------------------------------------------------------------------------------------------

    @property
    def looked_at(self) -> float:
        """Share of the log in which lines that fit the filter are counted."""
        start, size = self._reading.start, self._reading.size or 0
        return min(1.0, max(0, self._counted_to - start) / (size - start)) if size > start else 1.0

    def filter_changed(self) -> None:
        """Count anew."""
        self._searcher.stop("count")
        self._spans.clear()
        self.counted = self._counted_to = 0
        self.count()

    def count(self) -> None:
        """Have counted the lines that fit the filter in what is not looked at yet."""
        size = self._file.whole(self._reading.size or 0)
        if self._reading.filter and not self._searcher.asked("count") and self._counted_to < size:
            self._counted_from = self.counted
            self._searcher.ask("count", self._reading.filter, begin=self._counted_to, until=size)

    def take_count(self, answer: dict[str, Any]) -> None:
        self.counted, self._counted_to = self._counted_from + answer["count"], answer["reached"]
        self.count()
