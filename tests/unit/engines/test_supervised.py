"""Engines that die of requests: always, once or at random. Every request gets exactly one completion."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_prox.engines.base import Completion, Request
from spark_prox.engines.supervised import SupervisedEngine
from spark_prox.errors import ModelError


def requests(count: int) -> list[Request]:
    return [Request(request_id=number, prompt_token_ids=(number,)) for number in range(count)]


class Mortal:
    """Holds `limit` requests, finishes the newest first, dies whenever one that it holds is deadly."""

    loads = 0

    def __init__(self, deadly: Callable[[int], bool], limit: int) -> None:
        Mortal.loads += 1
        self.deadly = deadly
        self.limit = limit

    def complete(self, stream: Iterable[Request]) -> Iterator[Completion]:
        source, held = iter(stream), []  # type: ignore[var-annotated]
        while True:
            while len(held) < self.limit and (request := next(source, None)) is not None:
                held.append(request)
                if self.deadly(request.request_id):
                    raise RuntimeError("CUDA error: the text of a page")
            if not held:
                return
            yield Completion(request_id=held.pop().request_id, text="done")


def outcome(engine: SupervisedEngine, count: int) -> dict[int, str]:
    answers = list(engine.complete(requests(count)))
    assert sorted(answer.request_id for answer in answers) == list(range(count))
    assert not any("page" in (answer.error_detail or "") for answer in answers)
    return {answer.request_id: answer.error_code or answer.text for answer in answers}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.sets(st.integers(0, 59), max_size=4), st.integers(1, 16))
def test_the_poison_is_found_and_the_others_are_completed(count: int, poison: set[int], limit: int) -> None:
    poison &= set(range(count))
    Mortal.loads = 0
    engine = SupervisedEngine(lambda: Mortal(poison.__contains__, limit))
    answers = outcome(engine, count)
    assert {number for number, answer in answers.items() if answer == "POISON_REQUEST"} == poison
    assert engine.restarts == Mortal.loads - 1
    assert engine.restarts <= len(poison) * (2 + math.ceil(math.log2(limit + 1)))
    engine.close()


def test_a_death_that_no_request_caused_costs_one_restart() -> None:
    died = threading.Event()

    def once(number: int) -> bool:
        if number == 17 and not died.is_set():
            died.set()
            return True
        return False

    engine = SupervisedEngine(lambda: Mortal(once, 8))
    assert set(outcome(engine, 50).values()) == {"done"}
    assert engine.restarts == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_deaths_at_random_lose_and_repeat_nothing(seed: int) -> None:
    dice = random.Random(seed)
    engine = SupervisedEngine(lambda: Mortal(lambda _: dice.random() < 0.05, 6))
    answers = outcome(engine, 80)
    assert Counter(answers.values())["done"] > 60
    engine.close()


def test_an_engine_that_only_dies_is_lost() -> None:
    engine = SupervisedEngine(lambda: Mortal(lambda _: True, 8))
    with pytest.raises(ModelError, match="ENGINE_LOST"):
        list(engine.complete(requests(500)))
    assert engine.restarts < 20


def test_an_engine_that_cannot_be_loaded_again_is_lost() -> None:
    loads = iter([Mortal(lambda number: number == 3, 4)])
    engine = SupervisedEngine(lambda: next(loads))
    with pytest.raises(ModelError, match=r"ENGINE_LOST.*RuntimeError.*cannot be loaded again"):
        list(engine.complete(requests(9)))


def test_an_engine_that_cannot_be_loaded_at_all_says_why() -> None:
    def load() -> Mortal:
        raise ModelError("MODEL_NOT_FOUND", "nothing here")

    with pytest.raises(ModelError, match="MODEL_NOT_FOUND"):
        SupervisedEngine(load)


class Hanging(Mortal):
    """Does not die of a deadly request: never comes back from it."""

    def complete(self, stream: Iterable[Request]) -> Iterator[Completion]:
        for request in stream:
            if self.deadly(request.request_id):
                threading.Event().wait(30)
            yield Completion(request_id=request.request_id, text="done")


def test_an_engine_that_hangs_is_left_behind() -> None:
    engine = SupervisedEngine(lambda: Hanging(lambda number: number == 5, 4), stall_timeout_s=0.2)
    answers = outcome(engine, 20)
    assert answers.pop(5) == "POISON_REQUEST"
    assert set(answers.values()) == {"done"}


def test_waiting_for_documents_is_no_hang() -> None:
    def slow() -> Iterator[Request]:
        for request in requests(3):
            time.sleep(0.3)
            yield request

    engine = SupervisedEngine(lambda: Mortal(lambda _: False, 4), stall_timeout_s=0.1)
    assert len(list(engine.complete(slow()))) == 3
    assert engine.restarts == 0


class Forgetful(Mortal):
    """Answers a request twice and forgets one."""

    def complete(self, stream: Iterable[Request]) -> Iterator[Completion]:
        for request in stream:
            if request.request_id == 4 and Mortal.loads == 1:
                continue
            yield Completion(request_id=request.request_id, text="done")
            yield Completion(request_id=request.request_id, text="again")


def test_what_an_engine_forgets_is_asked_again_and_what_it_repeats_is_dropped() -> None:
    Mortal.loads = 0
    engine = SupervisedEngine(lambda: Forgetful(lambda _: False, 4))
    assert set(outcome(engine, 9).values()) == {"done"}
    assert engine.restarts == 1


def test_an_error_of_the_documents_is_no_death() -> None:
    def broken() -> Iterator[Request]:
        yield from requests(3)
        raise OSError("the input is gone")

    engine = SupervisedEngine(lambda: Mortal(lambda _: False, 2))
    stream = engine.complete(broken())
    assert [next(stream).text for _ in range(3)] == ["done"] * 3
    with pytest.raises(OSError, match="input is gone"):
        next(stream)
    assert engine.restarts == 0


def test_a_caller_that_stops_early_leaves_a_working_engine() -> None:
    engine = SupervisedEngine(lambda: Mortal(lambda _: False, 4))
    stream = engine.complete(requests(10_000))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert set(outcome(engine, 20).values()) == {"done"}
