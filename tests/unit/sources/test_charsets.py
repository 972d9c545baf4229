"""Pages whose charset is declared, not declared, or declared wrongly."""

from __future__ import annotations

import codecs

import pytest

from spark_prox.sources.charsets import declared_charset, decode_page

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5
JAPANESE = "日本語の文章です。漢字とひらがなとカタカナが入っています。" * 5
CHINESE = "这是一个用来测试编码的中文网页，里面有很多汉字。" * 5
HEBREW = "זהו טקסט בעברית שנכתב מימין לשמאל לצורך בדיקה. " * 5


@pytest.mark.parametrize(
    ("text", "encoding", "declared"),
    [
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (JAPANESE, "shift_jis", "Shift_JIS"),
        (JAPANESE, "euc_jp", "EUC-JP"),
        (JAPANESE, "iso2022_jp", "ISO-2022-JP"),
        (CHINESE, "gb18030", "gb2312"),
        (CHINESE, "gbk", "GBK"),
        (HEBREW, "cp1255", "windows-1255"),
        ("café – “quoted”", "cp1252", "ISO-8859-1"),
        (RUSSIAN, "utf-16-le", "utf-16le"),
    ],
)
def test_a_declared_charset_is_used(text: str, encoding: str, declared: str) -> None:
    assert decode_page(text.encode(encoding), declared) == text


@pytest.mark.parametrize(
    "declared", [None, "iso-8859-1", "windows-1251", "nonsense-42", "base64", "idna", "gb2312", "utf-8"]
)
def test_valid_utf_8_is_utf_8_whatever_is_declared(declared: str | None) -> None:
    for text in (RUSSIAN, JAPANESE, HEBREW):
        assert decode_page(text.encode(), declared) == text


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")],
)
def test_a_byte_order_mark_beats_every_declaration_and_is_dropped(mark: bytes, encoding: str) -> None:
    assert decode_page(mark + RUSSIAN.encode(encoding), "windows-1252") == RUSSIAN


def test_the_meta_tag_counts_where_the_header_says_nothing() -> None:
    for tag in (
        '<meta charset="windows-1251">',
        "<META content='text/html; charset=windows-1251' http-equiv=x>",
        '<?xml version="1.0" encoding="windows-1251"?>',
    ):
        page = tag + RUSSIAN
        assert decode_page(page.encode("cp1251"), None) == page


def test_an_undeclared_charset_is_guessed() -> None:
    assert decode_page(RUSSIAN.encode("cp1251"), None) == RUSSIAN
    assert decode_page(JAPANESE.encode("shift_jis"), None) == JAPANESE


def test_utf_8_with_a_few_broken_bytes_keeps_the_rest() -> None:
    page = RUSSIAN.encode() + b"\xff\xfe broken " + RUSSIAN.encode()
    decoded = decode_page(page, "utf-8")
    assert decoded.startswith(RUSSIAN)
    assert decoded.endswith(RUSSIAN)
    assert "\ufffd" in decoded


def test_the_charset_of_a_header_is_found_in_all_spellings() -> None:
    assert declared_charset("text/html; charset=UTF-8") == "UTF-8"
    assert declared_charset('text/html;charset="utf-8"') == "utf-8"
    assert declared_charset("text/html; Charset = koi8-r; x=y") == "koi8-r"
    assert declared_charset("text/html") is None


def test_random_bytes_are_always_decoded() -> None:
    for declared in (None, "utf-16", "hz", "utf-7", "shift_jis"):
        assert isinstance(decode_page(bytes(range(256)) * 20, declared), str)
