"""Which items belong to a run, and which are worth starting before that is certain.

An item belongs to a run when fewer than `target` pairs were kept among the items before it, and fewer than
`most_candidates` instructions before it went to the critic. Both are questions about earlier items alone, so a finished
run holds the same items whatever the concurrency and the order in which they finish.

They can be answered for sure once kept + unresolved among the earlier items is below `target`: that item is certain.
Waiting for certainty would starve a wide device at the end of a run: with 1,000 requests at once and half of them
accepted, 500, 250, 125, … are left to start, each time after a whole response. So items are also started ahead, as many
as the acceptance so far makes likely to be needed. What comes of them waits here, and is a record only once the item is
certain; the rest is dropped when the target is met.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from engine.generate.acceptance import Acceptance
from engine.generate.items import Item

Record = dict[str, Any]


class Admission:
    """Keeps count of a run's items. Its arguments by name are what earlier attempts left.

    `kept` and `candidates` go on to count certain items alone.
    """

    def __init__(
        self,
        target: int,
        most_candidates: int,
        *,
        kept: int = 0,
        candidates: int = 0,
        answered: int = 0,
        failed: int = 0,
        highest: int = -1,
    ) -> None:
        self._target, self._most_candidates, self._highest = target, most_candidates, highest
        self.kept, self.candidates = kept, candidates
        self.failed = failed
        self.resolved = candidates
        self._started = candidates
        self._accepted = kept
        self._acceptance = Acceptance(candidates=candidates, answered=answered, kept=kept)
        self._certain: set[int] = set()
        self._ahead: deque[Item] = deque()
        self._outcomes: dict[int, Record] = {}
        self._settled: list[Record] = []

    @property
    def waits(self) -> bool:
        """Whether an item that belongs to the run has no outcome yet."""
        return bool(self._certain)

    @property
    def is_full(self) -> bool:
        return self.kept >= self._target

    @property
    def is_spent(self) -> bool:
        """Whether as many candidates were started as may be."""
        return self._started >= self._most_candidates

    @property
    def candidates_left(self) -> int:
        return self._most_candidates - self._started

    @property
    def candidates_wanted(self) -> int:
        """How many more candidates than those in flight the target is likely to take."""
        return math.ceil(max(0.0, self._missing) / self._acceptance.yield_)

    @property
    def _missing(self) -> float:
        """Pairs that are wanted beyond those that what is in flight will give in all likelihood."""
        return self._target - self._accepted - self._acceptance.at_least

    def may_start(self, item: Item) -> bool:
        """Whether `item`, the next in order, should be started now."""
        if item.index < self._highest:
            return True  # a later item has a record: so this one had been certain before
        return not self.is_spent and self._missing > 0

    @property
    def _bound(self) -> int:
        """Most pairs that the certain items can come to."""
        return self.kept + len(self._certain)

    def start(self, item: Item) -> None:
        """`item`, a candidate, is being worked on."""
        self._started += 1
        self._acceptance.start()
        self._ahead.append(item)

    def pass_on(self, item: Item) -> None:
        """The instruction critic accepted `item`."""
        self._acceptance.pass_on(item.index)

    def resolve(self, item: Item, record: Record) -> None:
        """`record` is what came of `item`; of a line that never goes to the critic, at once."""
        if item.dropped is not None:
            self._ahead.append(item)
        else:
            self.resolved += 1
            self._accepted += record["kept"]
            self._acceptance.end(item.index, kept=record["kept"])
            self.failed += record["outcome"] == "failed"
        if item.index in self._certain:
            self._certain.discard(item.index)
            self._settle(record)
        else:
            self._outcomes[item.index] = record

    def records(self) -> list[Record]:
        """Records that are to be written now: of items that are certain and have come to an end. Each comes once."""
        while self._ahead and (self._ahead[0].index < self._highest or self._bound < self._target):
            item = self._ahead.popleft()
            self.candidates += item.dropped is None
            record = self._outcomes.pop(item.index, None)
            if record is None:
                self._certain.add(item.index)
            else:
                self._settle(record)
        settled, self._settled = self._settled, []
        return settled

    def _settle(self, record: Record) -> None:
        self.kept += record["kept"]
        self._settled.append(record)

    def drop(self) -> None:
        """Nothing that was started is waited for any more."""
        self._certain.clear()
        self._ahead.clear()
        self._outcomes.clear()
        self._started = self.resolved
        self._acceptance.drop()
