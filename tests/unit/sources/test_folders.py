"""Columns that folders name, whatever the files hold."""

from __future__ import annotations

import pytest

from spark_prox.sources.folders import folder_keys


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/d/dump=A/lang=en/x.jsonl", ["dump", "lang"]),
        ("/d/dump=A/part/x.jsonl", ["dump"]),
        ("/lr=0.1/runs/dump=A/x.jsonl", ["dump"]),
        ("s3a://b/k%20y=v/x.parquet", ["k%20y"]),
        ("/d/a=b.jsonl", []),
        ("/d/=b/x.jsonl", []),
        ("/d/a=/x.jsonl", ["a"]),
    ],
)
def test_the_folders_nearest_to_the_file_name_its_columns(path: str, keys: list[str]) -> None:
    assert folder_keys([path]) == keys


def test_keys_of_all_files_come_once() -> None:
    assert folder_keys(["/a=1/x", "/a=2/y", "/a=2/b=3/z", "/w"]) == ["a", "b"]
