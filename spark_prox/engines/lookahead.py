"""Read a stream ahead of its consumer, in a thread: prompts are built while the engine computes.

Bounded by items and by their weight (prompt tokens), so that a fast reader cannot fill the memory. The tokenizers
library releases Python's lock, so encoding really runs beside the engine. Knows nothing of requests.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

__all__ = ["LookAhead"]

T = TypeVar("T")


class LookAhead(Generic[T]):
    """An iterator over `items` that are read in a thread of their own.

    `next` raises what `items` raised, after the items before it. Use it as a context manager: the thread ends when the
    item that it is reading is there.

    Attributes:
        waited_s: seconds that the consumer has spent waiting for an item.
    """

    def __init__(
        self, items: Iterator[T], *, max_items: int, max_weight: int, weight: Callable[[T], int] = lambda _: 0
    ) -> None:
        """
        Args:
            max_items: most items that wait for the consumer.
            max_weight: most weight that waits, unless one item alone is heavier.
            weight: of an item.
        """
        self._items = items
        self._max_items = max_items
        self._max_weight = max_weight
        self._weight = weight
        self._held: deque[T] = deque()
        self._load = 0
        self._changed = threading.Condition()
        self._closed = self._ended = False
        self._error: BaseException | None = None
        self.waited_s = 0.0
        self._thread = threading.Thread(target=self._read, name="look-ahead", daemon=True)

    def __enter__(self) -> LookAhead[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._held.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            if not self._held and not self._ended and not self._closed:
                started = time.perf_counter()
                self._changed.wait_for(lambda: self._held or self._ended or self._closed)
                self.waited_s += time.perf_counter() - started
            if self._held:
                item = self._held.popleft()
                self._load -= self._weight(item)
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None and not self._closed:
            raise error
        raise StopIteration

    def ready(self) -> bool:
        """True if `next` would return or raise at once."""
        return bool(self._held) or self._ended or self._closed

    def _read(self) -> None:
        try:
            for item in self._items:
                weight = self._weight(item)
                with self._changed:
                    self._changed.wait_for(lambda size=weight: self._closed or self._has_room(size))  # type: ignore[misc]
                    if self._closed:
                        break
                    self._held.append(item)
                    self._load += weight
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the consumer
            self._error = error
        finally:
            close = getattr(self._items, "close", None)  # a generator can be closed only by the thread that runs it
            if close is not None:
                close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _has_room(self, weight: int) -> bool:
        return not self._held or (len(self._held) < self._max_items and self._load + weight <= self._max_weight)
