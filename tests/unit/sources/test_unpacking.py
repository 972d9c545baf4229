"""Packed files of every kind, told by their first bytes: the same rows, and what breaks breaks where it does."""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Callable

import pytest

from spark_prox.sources.json_lines import read_json_lines
from spark_prox.sources.unpacking import _zstd, is_packed
from tests.unit.sources.archive_builder import joined, read, texts, wet

zstd = _zstd()
LINES = b'{"n": 1}\n' * 3
SKIPPED = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
Pack = Callable[[bytes], bytes]


def long_window(data: bytes) -> bytes:
    names = zstd.CompressionParameter
    packer = zstd.ZstdCompressor(options={names.window_log: 31, names.enable_long_distance_matching: 1})
    return bytes(packer.compress(data) + packer.flush())


def codes(data: bytes) -> list[str | None]:
    return [row.reject_code for row in read_json_lines(io.BytesIO(data))]


@pytest.mark.parametrize(
    "pack",
    [
        bz2.compress,
        lzma.compress,
        zstd.compress,
        long_window,
        lambda data: SKIPPED + zstd.compress(data),
        lambda data: zstd.compress(data[:9]) + SKIPPED + zstd.compress(data[9:]),
        lambda data: bz2.compress(data[:9]) + bz2.compress(data[9:]),
    ],
)
def test_lines_of_a_packed_file_are_read_whatever_it_is_called(pack: Pack) -> None:
    packed = pack(LINES)
    assert is_packed(packed[:8])
    assert codes(packed) == [None] * 3


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, zstd.compress])
def test_a_packed_file_that_breaks_is_unreadable_from_there(pack: Pack) -> None:
    assert codes(pack(LINES)[:-6])[-1] == "FILE_UNREADABLE"
    assert codes(pack(LINES)[:6] + b"\xff" * 30) == ["FILE_UNREADABLE"]


@pytest.mark.parametrize("pack_dictionary", [bytes, zstd.compress])
def test_an_archive_of_zstd_frames_with_their_dictionary_is_read(pack_dictionary: Pack) -> None:
    records = wet(3)
    dictionary = zstd.train_dict([record[:200] for record in records] * 40, 1000)
    content = pack_dictionary(dictionary.dict_content)
    head = b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content
    data = head + joined(*(zstd.compress(record, zstd_dict=dictionary) for record in records))
    whole = texts(read(joined(*records)))
    assert texts(read(data)) == whole
    cut = read(data[:-9])
    assert texts(cut) == whole[:2]
    assert cut[-1].reject_code == "ARCHIVE_TRUNCATED"
    assert [row.reject_code for row in read(data[len(head) :])] == ["ARCHIVE_UNREADABLE"]


def test_a_gzip_member_behind_a_damaged_head_is_found() -> None:
    from tests.unit.sources.archive_builder import packed as members

    data = bytearray(members(wet(5)))
    third = data.find(b"\x1f\x8b\x08", data.find(b"\x1f\x8b\x08", data.find(b"\x1f\x8b\x08", 1) + 1) + 1)
    data[third + 3] ^= 4  # the member says now that it has an extra field
    assert len(texts(read(bytes(data)))) == 4
