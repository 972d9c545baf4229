"""`input.copy_text: false` is refused where a text could not be found again."""

from __future__ import annotations

import pytest

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError, code_in


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"format": "jsonl", "id_column": "id"}, "format is jsonl"),
        ({"format": "delta"}, "id_column is not set"),
        (
            {"format": "delta", "id_column": "id", "incremental": True, "skip_change_commits": True},
            "skip_change_commits",
        ),
    ],
)
def test_what_needs_a_copy_is_refused(settings: dict[str, object], why: str) -> None:
    InputSpec(path="p", copy_text=True, **settings)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=why) as caught:
        InputSpec(path="p", copy_text=False, **settings)  # type: ignore[arg-type]
    assert code_in(str(caught.value)) == "COPY_NEEDED"


def test_a_delta_table_with_an_id_column_needs_none() -> None:
    assert not InputSpec(path="p", format="delta", id_column="id", copy_text=False).copy_text
