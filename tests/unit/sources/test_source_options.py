"""The options of the data sources `warc` and `wet`: read from strings, checked before anything is read."""

from __future__ import annotations

import pytest

from spark_prox.errors import InputError
from spark_prox.sources.source_options import SourceOptions


def test_options_are_read_whatever_their_case() -> None:
    options = SourceOptions.of({"PATH": "a,b/{x,y}", "Columns": "text, target_uri", "Split_Bytes": "5"}, "warc")
    assert options.paths == ("a", "b/{x,y}")
    assert options.columns == ("text", "target_uri")
    assert options.split_bytes == 5


def test_a_list_of_paths_comes_as_json() -> None:
    assert SourceOptions.of({"paths": '["a","b"]'}, "warc").paths == ("a", "b")
    assert SourceOptions.of({"paths": "2024"}, "warc").paths == ("2024",)


def test_the_formats_differ_in_the_columns_that_they_give() -> None:
    warc, wet = (SourceOptions.of({"path": "x"}, name).columns for name in ("warc", "wet"))
    assert set(warc) - set(wet) == {"http_status", "charset"}
    assert "payload" not in warc
    assert "payload" in SourceOptions.of({"path": "x", "columns": "*"}, "wet").columns


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "INPUT_NOT_FOUND.*needs a path"),
        ({"path": "x", "colums": "text"}, "UNKNOWN_OPTION.*'colums'.*columns"),
        ({"path": "x", "columns": "url"}, "MISSING_COLUMN.*'url'.*target_uri"),
        ({"path": "x", "extract": "best"}, "INPUT_BAD_VALUE.*'best'.*trafilatura"),
        ({"path": "x", "split_bytes": "1MB"}, "INPUT_BAD_VALUE.*'1MB'"),
        ({"path": "x", "max_files": "0"}, "INPUT_BAD_VALUE.*from 1 on"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_right(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SourceOptions.of(options, "warc")
