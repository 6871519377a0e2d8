"""How does a function with all that it encloses reach a worker of a cluster once, however many items it works on?

The function is pickled once, by value where it must be, and lies on each worker as bytes under its hash; the first item unpickles it,
the next ones find it. Bars that a closure holds so travel once per worker and not once per fold. Items go in batches: a message costs
milliseconds of several processes (11 with Dask, 3 with Ray), whatever it asks for.
"""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeAlias

from evolve.compute.local import Item, Progress, Result, portable
from evolve.errors import Unavailable
from evolve.version import code_version

# A sweep and one that went before it: more functions at once nobody has, and each may hold the bars of hundreds of symbols.
KEPT = 2
# What decides the bits of a result, beside the processor.
_LIBRARIES = ("numpy", "scipy", "sklearn", "xgboost", "torch")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A function on its way. sha256: of its bytes, and what two are compared by."""

    sha256: str
    content: bytes = field(compare=False)


# What a batch should take: so long that its message does not count, so short that no worker waits long for another, and little is lost with one.
BATCH_S = 2.0
LARGEST = 64  # items in a batch


Batch: TypeAlias = list[tuple[int, Item]]
"""Items with their indices, done by one worker one after the other."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one item: a value, or the exception that it raised."""

    index: int
    value: Any
    error: Exception | None = None


def packed(function: Callable[[Any], Any]) -> Parcel:
    import cloudpickle

    content: bytes = cloudpickle.dumps(function)
    return Parcel(hashlib.sha256(content).hexdigest(), content)


@dataclass(frozen=True, slots=True)
class Done:
    """A batch: what came of its items, up to the first that failed, and how long they took."""

    answers: tuple[Answer, ...]
    seconds: float


def work_on(parcel: Parcel, batch: Batch[Any]) -> Done:
    """On a worker: items, each with its index, with one thread of arithmetic, so that a sum is the same sum as anywhere else."""
    function = _function(parcel)
    started = time.perf_counter()
    answers: list[Answer] = []
    with _threads(len(sys.modules)).limit(limits=1):
        for index, item in batch:
            answers.append(_answer(function, index, item))
            if answers[-1].error is not None:  # a loop would not have come to the next
                break
    return Done(tuple(answers), time.perf_counter() - started)


def _answer(function: Callable[[Any], Any], index: int, item: Any) -> Answer:
    try:
        return Answer(index, function(item))
    except Exception as error:  # noqa: BLE001 - carried to who asked and raised there with its type
        return Answer(index, None, portable(error))


class Batches(Generic[Item]):
    """Items in their order, as many at once as take about BATCH_S, by what those before them took; fewer towards the end, where workers would wait."""

    def __init__(self, items: Sequence[Item], workers: int) -> None:
        self._items, self._workers = items, max(1, workers)
        self._next = 0
        self._size = 1
        self._alone: deque[int] = deque()

    def next(self) -> Batch[Item]:
        """None when nothing is left that has not been given."""
        if self._alone:
            index = self._alone.popleft()
            return [(index, self._items[index])]
        left = len(self._items) - self._next
        size = min(left, max(1, min(self._size, left // (2 * self._workers))))
        first, self._next = self._next, self._next + size
        return [(index, self._items[index]) for index in range(first, self._next)]

    def took(self, done: Done) -> None:
        wanted = int(BATCH_S * len(done.answers) / max(done.seconds, 1e-9))
        # At most doubled: the next items may take longer than these did.
        self._size = max(1, min(wanted, 2 * len(done.answers), LARGEST))

    def one_by_one(self, batch: Batch[Item]) -> bool:
        """Whether a batch that ended its workers can be given again, item by item, so that the one which does it is found."""
        if len(batch) == 1:
            return False
        self._alone.extend(index for index, _ in batch)
        return True


@lru_cache(maxsize=1)
def _threads(_modules: int) -> Any:
    """What limits the threads of the libraries of arithmetic that are loaded: found anew, which takes milliseconds, only after further imports."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@lru_cache(maxsize=KEPT)
def _function(parcel: Parcel) -> Callable[[Any], Any]:
    import cloudpickle

    function: Callable[[Any], Any] = cloudpickle.loads(parcel.content)
    return function


def versions() -> dict[str, str]:
    """What this process computes with."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"evolve": code_version(), "python": platform.python_version(), "machine": platform.machine()}
    for name in _LIBRARIES:
        try:
            found[name] = version({"sklearn": "scikit-learn"}.get(name, name))
        except PackageNotFoundError:
            found[name] = "none"
    return found


def same_versions(where: str, theirs: Sequence[dict[str, str]]) -> None:
    """Raises Unavailable when a worker would compute other bits than this process, or cannot read what it sends."""
    mine = versions()
    for other in theirs:
        different = [
            f"{name} {other.get(name)} instead of {own}" for name, own in mine.items() if other.get(name) != own
        ]
        if different:
            raise Unavailable(
                f"a worker of {where} has {', '.join(different[:3])}: install there what is installed here"
            )


@dataclass
class Collected(Generic[Item, Result]):
    """Results as they come in, in any order. `take` raises the first failure, in the order of items, once all before it are there."""

    items: Sequence[Item]
    progress: Progress | None
    each: Callable[[int, Result], None] | None
    results: dict[int, Result] = field(default_factory=dict)
    failures: dict[int, Exception] = field(default_factory=dict)

    def take(self, done: Done) -> None:
        for answer in done.answers:
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        if answer.error is not None:
            self.failures[answer.index] = answer.error
        else:
            self.results[answer.index] = answer.value
            if self.each is not None:
                self.each(answer.index, answer.value)
            if self.progress is not None:
                self.progress(len(self.results), len(self.items))
        if self.failures and all(index in self.results for index in range(min(self.failures))):
            raise self.failures[min(self.failures)]

    def in_order(self) -> list[Result]:
        return [self.results[index] for index in range(len(self.items))]
