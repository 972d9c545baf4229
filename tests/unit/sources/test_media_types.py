"""Binary bodies that are called text, and text that only looks odd."""

from __future__ import annotations

import random

import pytest

from spark_prox.sources.media_types import TextKind, may_be_text, text_kind

NOISE = random.Random(1).randbytes(2000)
SIGNATURES = [
    b"\0\1\0\0\0\x0fOS", b"OTTO\0", b"wOF2", b"\xff\xfb\x90d", b"ID3\3", b"CWS\t", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"7z\xbc\xaf'\x1c", b"\x1aE\xdf\xa3", b"\r\n\r\n%PDF-1.4\n", b"MZ\x90\0", b"II*\0", b"MM\0*", b"\xfd7zXZ\0",
    b"SQLite format 3\0", b"\x7fELF", b"PK\3\4", b"PAR1", b"BZh91AY&SY", b"\x28\xb5\x2f\xfd", b"\xca\xfe\xba\xbe", b"",
]  # fmt: skip


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("mime", ["text/html", "text/plain", "application/xhtml+xml", ""])
def test_a_binary_body_is_no_text_whatever_it_is_called(signature: bytes, mime: str) -> None:
    assert text_kind(mime, signature + NOISE) is None


def test_a_document_with_a_signature_is_binary_although_the_rest_is_ascii() -> None:
    assert text_kind("text/html", b"\n%PDF-1.4\n" + b"1 0 obj << /Type /Catalog >>\n" * 50) is None


@pytest.mark.parametrize(
    "body",
    [
        "Съешь же ещё этих мягких булок".encode("cp1251"),
        "日本語の文章です。".encode("iso2022_jp"),
        b"MZ is short for Mark Zbikowski",
        b"BM and ID3, PK and Rar are letters",
        b"a\r\n  b\0\rc\f",
        b"<html>" + b"\0" * 100,
    ],
)
def test_text_with_odd_bytes_is_text(body: bytes) -> None:
    assert text_kind("text/html", body) is TextKind.HTML


def test_the_nuls_of_utf_16_are_no_control_characters() -> None:
    assert text_kind("text/html", "<p>words of a page</p>".encode("utf-16-le"), is_utf_16=True) is TextKind.HTML


@pytest.mark.parametrize("mime", ["", "html", "application/octet-stream"])
def test_a_type_that_says_nothing_is_told_by_the_first_bytes(mime: str) -> None:
    assert may_be_text(mime)
    assert text_kind(mime, b"<!DOCTYPE html><p>words") is TextKind.HTML
    assert text_kind(mime, b'{"words": 1}') is None
