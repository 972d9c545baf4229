"""First bytes tell a format; damage of the right format is no other format."""

from __future__ import annotations

import bz2
import gzip

import pytest

from spark_prox.sources.sniff import may_be
from tests.unit.sources.archive_builder import arc, packed, wet

WET = packed(wet(2), "plain")
JSON = b'{"text": "x"}\n' * 10
FILES = {
    "plain archive": (WET, {"wet", "warc"}),
    "packed archive": (packed(wet(2)), {"wet", "warc"}),
    "arc": (arc(), {"wet", "warc"}),
    "archive without its beginning": (b"lost text\n" * 100 + WET, {"wet", "warc"}),
    "archive cut in its first head": (b"WARC/1.0\r\nWARC-Ty", {"wet", "warc"}),
    "json": (JSON, {"jsonl"}),
    "packed json": (gzip.compress(JSON), {"jsonl"}),
    "one long json line": (b'{"text": "' + b"x" * 70_000, {"jsonl"}),
    "json after bad lines": (b"bad\n" * 100 + JSON, {"jsonl"}),
    "json with a mark": (b"\xef\xbb\xbf" + JSON, {"jsonl"}),
    "parquet": (b"PAR1" + b"\0" * 100, {"parquet"}),
    "damaged gzip": (packed(wet(2))[:10] + b"\xff" * 100, {"wet", "warc", "jsonl"}),
    "other packing": (bz2.compress(JSON), {"wet", "warc", "jsonl"}),
    "nothing": (b"", {"wet", "warc", "jsonl", "parquet"}),
    "text": (b"hello\nworld\n", set()),
    "csv": (b"id,text\n1,x\n", set()),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_may_be_what_it_is(name: str) -> None:
    start, formats = FILES[name]
    assert {
        format_name for format_name in ("wet", "warc", "jsonl", "parquet") if may_be(format_name, start[:65536])
    } == formats
