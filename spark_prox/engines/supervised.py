"""Keep an engine alive: restart one that died, find the request it died of, give every request exactly one completion.

An engine dies when `complete` raises, ends with requests unanswered, or finishes nothing for too long. It runs in a
thread of its own, a *lane*, so that a call that hangs can be left behind, and so that it need not wait for whoever
takes its completions. A new engine then runs the requests in flight again, in halves, until the request that kills it
is alone; it gets code POISON_REQUEST. Knows engines by their protocol only.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator

from spark_prox.engines.base import Completion, Engine, Request, failure, is_ready
from spark_prox.errors import ModelError, ProxError

__all__ = ["SupervisedEngine"]

_log = logging.getLogger(__name__)
_FINISHED_AHEAD = 1024  # completions that may wait for their reader
_BARREN_RESTARTS = 16  # deaths in a row without one completion: halving 512 requests takes 10, more is a lost engine
_GOODBYE_S = 60.0  # for a dead engine to free its memory before the next one is loaded

_Attempt = Generator[Completion, None, "list[Request] | None"]


class SupervisedEngine:
    """An engine that outlives the deaths of the engines that it loads.

    Raises:
        ModelError: ENGINE_LOST when a new engine cannot be loaded, or dies again and again without completing anything.
    """

    def __init__(self, load: Callable[[], Engine], *, stall_timeout_s: float = 0.0) -> None:
        """
        Args:
            load: makes a new engine; called once now and once for each death.
            stall_timeout_s: an engine that has work and finishes nothing for so long is dead; 0 waits for ever.
        """
        self._load = load
        self._stall_timeout_s = stall_timeout_s
        self._lane = _Lane(load)
        self._barren = 0
        self.restarts = 0

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`."""
        stream = iter(requests)
        while (suspects := (yield from self._attempt(stream))) is not None:
            yield from self._bisect(suspects)

    def close(self) -> None:
        """Let the engine free its memory."""
        self._lane.retire()

    def _bisect(self, suspects: list[Request]) -> Iterator[Completion]:
        groups = _halves(suspects)
        while groups:
            group = groups.pop()
            stream = iter(group)
            left = yield from self._attempt(stream)
            if left is None:
                continue
            untried = list(stream)
            if untried:
                groups.append(untried)
            if left and len(group) == 1:
                yield failure(left[0], "POISON_REQUEST", "the engine died of this request, twice")
            else:
                groups.extend(_halves(left))

    def _attempt(self, stream: Iterator[Request]) -> _Attempt:
        """Run requests. Returns None at their end; what was in flight, if the engine died, and a new one is loaded."""
        feed = _Feed(stream)
        finished = self._lane.run(feed)
        tick = min(1.0, self._stall_timeout_s / 4) or None
        progress = time.monotonic()
        try:
            while True:
                try:
                    item = finished.get(timeout=tick)
                except queue.Empty:
                    if feed.waiting:
                        progress = time.monotonic()
                    if time.monotonic() - progress < self._stall_timeout_s:
                        continue
                    item = _Died(f"nothing finished in {self._stall_timeout_s:g} s", hung=True)
                if isinstance(item, Completion):
                    if feed.in_flight.pop(item.request_id, None) is not None:
                        self._barren = 0
                        yield item
                    progress = time.monotonic()
                    continue
                if feed.error is not None:
                    raise feed.error  # the documents failed, not the engine
                if isinstance(item.error, ProxError):
                    raise item.error
                if item.why is None and not feed.in_flight:
                    return None
                self._restart(item)
                return list(feed.in_flight.values())
        finally:
            feed.open = False

    def _restart(self, death: _Died) -> None:
        self.restarts += 1
        self._barren += 1
        why = death.why or "it left requests unanswered"
        _log.warning("the engine died (%s); loading it again", why)
        if self._barren > _BARREN_RESTARTS:
            raise ModelError("ENGINE_LOST", f"The engine died {self._barren} times in a row: {why}.")
        self._lane.retire(wait=not death.hung)
        try:
            self._lane = _Lane(self._load)
        except Exception as error:
            raise ModelError("ENGINE_LOST", f"The engine died ({why}) and cannot be loaded again: {error}") from error


class _Feed:
    """The requests of one attempt: remembers what the engine took; closed, it gives no more."""

    def __init__(self, source: Iterator[Request]) -> None:
        self._source = source
        self.in_flight: dict[int, Request] = {}
        self.error: BaseException | None = None
        self.open = True
        self.waiting = False

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        if not self.open:
            raise StopIteration
        self.waiting = True
        try:
            request = next(self._source)
        except StopIteration:
            raise
        except BaseException as error:  # noqa: BLE001 - raised again to whoever reads the completions
            self.error = error
            raise StopIteration from None
        finally:
            self.waiting = False
        self.in_flight[request.request_id] = request
        return request

    def ready(self) -> bool:
        """See `is_ready`."""
        return not self.open or is_ready(self._source)


class _Died:
    """The end of an attempt: `why` is None where the engine came to the end of its requests."""

    def __init__(self, why: str | None, *, hung: bool = False, error: ProxError | None = None) -> None:
        self.why = why
        self.hung = hung
        self.error = error


class _Lane:
    """One engine in one thread, which loads it, runs it and frees it: some engines keep state per thread."""

    _numbers = itertools.count(1)

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._work: queue.SimpleQueue[tuple[_Feed, queue.Queue[Completion | _Died]] | None] = queue.SimpleQueue()
        loaded: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._live, args=(load, loaded), name=f"engine-{next(self._numbers)}", daemon=True
        )
        self._thread.start()
        error = loaded.get()
        if error is not None:
            raise error

    def run(self, feed: _Feed) -> queue.Queue[Completion | _Died]:
        finished: queue.Queue[Completion | _Died] = queue.Queue(_FINISHED_AHEAD)
        self._work.put((feed, finished))
        return finished

    def retire(self, *, wait: bool = True) -> None:
        self._work.put(None)
        if wait:
            self._thread.join(_GOODBYE_S)

    def _live(self, load: Callable[[], Engine], loaded: queue.SimpleQueue[Exception | None]) -> None:
        try:
            engine = load()
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            loaded.put(error)
            return
        loaded.put(None)
        while (work := self._work.get()) is not None:
            feed, finished = work
            _put(finished, _run(engine, feed, finished), feed)
        close = getattr(engine, "close", None)
        if close is not None:
            close()


def _run(engine: Engine, feed: _Feed, finished: queue.Queue[Completion | _Died]) -> _Died:
    try:
        stream = engine.complete(feed)
        for completion in stream:
            if not _put(finished, completion, feed):
                stream.close()  # type: ignore[attr-defined]
                break
    except ProxError as error:
        return _Died(error.code, error=error)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the engine is dead
        # The object holds frames and so the dead engine's memory: only its name goes on, its text may quote a page.
        _log.debug("engine died", exc_info=True)
        return _Died(type(error).__name__)
    return _Died(None)


def _put(finished: queue.Queue[Completion | _Died], item: Completion | _Died, feed: _Feed) -> bool:
    """Hand over an item; False when nobody reads any more."""
    while feed.open:
        try:
            finished.put(item, timeout=0.5)
            return True
        except queue.Full:
            continue
    return False


def _halves(requests: list[Request]) -> list[list[Request]]:
    """The requests as two groups, the first one last: groups are taken from the end."""
    middle = (len(requests) + 1) // 2
    return [half for half in (requests[middle:], requests[:middle]) if half]
