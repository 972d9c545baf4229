from __future__ import annotations

import pickle

from spark_prox.errors import ConfigError, ModelError, ProxError, code_in, reason_of


def test_the_code_survives_as_text() -> None:
    error = ModelError("MODEL_NOT_FOUND", "There is no model directory 'x'.", "Download it.")
    assert str(error) == "[SPARK_PROX.MODEL_NOT_FOUND] There is no model directory 'x'. Download it."
    assert code_in(f"py4j wrapped: {error}\n\tat java...") == "MODEL_NOT_FOUND"
    assert code_in("no code here") is None


def test_errors_travel_between_processes() -> None:
    error = ConfigError("A", "b", "c")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, again.what, again.todo) == (ConfigError, "A", "b", "c")
    assert isinstance(again, ProxError)


def test_a_reason_is_one_printable_line_of_bounded_length() -> None:
    assert reason_of(ValueError("memory\n\tis \x1b[31mfull")) == "ValueError: memory is [31mfull"
    assert reason_of(KeyError()) == "KeyError"
    assert len(reason_of(OSError("x" * 10_000_000))) == len("OSError: ") + 300
