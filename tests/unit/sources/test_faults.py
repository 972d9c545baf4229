"""Inputs that were found by trying the product, with the right result of each: what needs no Spark."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spark_prox.sources.json_lines import LineRow, read_json_lines
from spark_prox.sources.json_shape import Shape
from spark_prox.sources.parquet_shape import shape_of_file
from spark_prox.sources.warc.archive import ArchiveRow, read_archive

ALL = ["2001 3.4 m", "print(1)", "A long quotation.", "The bridge in 1920."]
RIVER = "The river rose two metres"
KOREAN = "오늘 강이 이 미터 상승하여 다리가 폐쇄되었습니다."


@pytest.fixture(scope="session")
def faults(repository: Path) -> Path:
    folder = repository.parent / "shared" / "faults"
    if not folder.is_dir():
        pytest.skip("../shared/faults is not there: found inputs are not part of the repository")
    return folder


def pages(faults: Path, name: str) -> list[ArchiveRow]:
    return list(read_archive(io.BytesIO((faults / name / "a.warc").read_bytes())))


def lines(path: Path) -> tuple[list[LineRow], Shape]:
    shape = Shape(fields={})
    return list(read_json_lines(io.BytesIO(path.read_bytes()), shape=shape)), shape


def test_nothing_in_a_figure_is_lost(faults: Path) -> None:
    [page] = pages(faults, "F06")
    assert all(part in (page.text or "") for part in ALL)


def test_a_label_that_can_be_read_is_not_utf_16(faults: Path) -> None:
    assert [page.text for page in pages(faults, "F07")] == [f"{RIVER}."] * 4


def test_a_gzip_body_is_a_series_of_members(faults: Path) -> None:
    assert [page.text for page in pages(faults, "F10")] == [f"{RIVER}."]


def test_labels_of_the_encoding_standard_are_read(faults: Path) -> None:
    texts = [page.text for page in pages(faults, "F11")]
    assert texts[:5] == [KOREAN] * 5
    assert texts[5:] == [
        "Tiltas uždarytas šiandien ąčęėįšųūž, sakė meras.", "Сегодня река поднялась", "“Brücke” – 5 €",
    ]  # fmt: skip


def test_binary_bodies_are_no_text(faults: Path) -> None:
    found = pages(faults, "F15")
    assert len(found) > 5
    assert {page.reject_code for page in found} == {"RECORD_NOT_TEXT"}


def test_a_formula_is_there_once(faults: Path) -> None:
    expected = ["Energy is E=mc^2 as known.", "Let x_1 be.", "Let x^2 be."]
    assert [page.text for page in pages(faults, "F17")] == expected


def test_indentation_stays(faults: Path) -> None:
    [page] = pages(faults, "F18")
    assert (page.text or "").split("\n")[2:] == ["    if x:", "        return 1", "    return 2"]


def test_hidden_elements_have_no_text(faults: Path) -> None:
    assert [page.text for page in pages(faults, "F27")] == ["visible"]


@pytest.mark.parametrize("name", ["deep250", "deep400", "deepl500"])
def test_a_deep_line_is_a_bad_row_and_the_next_a_document(faults: Path, name: str) -> None:
    rows, _ = lines(faults / "F08" / name / "a.jsonl")
    assert [row.reject_code for row in rows] == ["BAD_ROW", None]


@pytest.mark.parametrize("name", ["zstlong", "zstnosuffix", "zstskip", "bz2nosuffix"])
def test_packed_files_are_read_whatever_they_are_called(faults: Path, name: str) -> None:
    [path] = (faults / "F23" / name).iterdir()
    assert [row.reject_code for row in lines(path)[0]] == [None, None]


@pytest.mark.parametrize("number", ["F04", "F05", "F20"])
def test_the_types_of_every_parquet_file_are_told(faults: Path, number: str) -> None:
    for path in (faults / number).glob("*/*.parquet"):
        found = shape_of_file(pq.ParquetFile(path))
        assert [field["name"] for field in found.schema["fields"]][:2] == ["id", "text"] or number == "F20"
        assert found.foreign
