from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from spark_prox.engines.lookahead import LookAhead


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def test_items_come_in_order_and_are_read_in_another_thread() -> None:
    threads = set()

    def items() -> Iterator[int]:
        for number in range(100):
            threads.add(threading.current_thread().name)
            yield number

    with LookAhead(items(), max_items=7, max_weight=1) as ahead:
        assert list(ahead) == list(range(100))
    assert threads == {"look-ahead"}


@pytest.mark.parametrize(("max_items", "max_weight", "held"), [(5, 10**9, 5), (10**9, 35, 3)])
def test_what_waits_is_bounded_by_items_and_by_weight(max_items: int, max_weight: int, held: int) -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            read.append(number)
            yield number

    with LookAhead(items(), max_items=max_items, max_weight=max_weight, weight=lambda _: 10) as ahead:
        assert eventually(lambda: len(read) == held + 1)
        time.sleep(0.05)
        assert len(read) == held + 1  # the last one waits for room
        assert next(ahead) == 0
        assert eventually(lambda: len(read) == held + 2)


def test_an_item_heavier_than_the_bound_passes_alone() -> None:
    with LookAhead(iter([1, 99, 1]), max_items=10, max_weight=5, weight=int) as ahead:
        assert list(ahead) == [1, 99, 1]


def test_an_error_comes_after_the_items_before_it_and_once() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    with LookAhead(items(), max_items=10, max_weight=1) as ahead:
        assert [next(ahead), next(ahead)] == [1, 2]
        with pytest.raises(OSError, match="gone"):
            next(ahead)
        assert list(ahead) == []


def test_the_thread_ends_and_closes_its_items_when_the_consumer_stops_early() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    with LookAhead(items(), max_items=3, max_weight=1) as ahead:
        assert next(ahead) == 0
    assert closed.wait(5)
    assert eventually(lambda: all(thread.name != "look-ahead" for thread in threading.enumerate()))


def test_it_says_whether_the_next_item_is_there() -> None:
    go = threading.Event()

    def items() -> Iterator[int]:
        go.wait(5)
        yield 1

    with LookAhead(items(), max_items=3, max_weight=1) as ahead:
        assert not ahead.ready()
        go.set()
        assert eventually(ahead.ready)
        assert next(ahead) == 1
        assert eventually(ahead.ready)  # the end is there, too
        assert list(ahead) == []
