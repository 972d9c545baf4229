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
    ("payload", "declared", "text"),
    [
        (b"\xad\xa1\xa4\xa2\xad\xb5 \xf9\xd4", "EUC-JP", "①あⅠ 﨎"),
        (b"\x1b$B\x2d\x21\x24\x22\x1b(Bx\x1b(I\x31\x1b(B", "iso-2022-jp", "①あxｱ"),
        (b"\xa4\xa2\xff\xad", "euc-jp", "あ\ufffd\ufffd"),
        (b'<p>\x1b$B$"\x1b(B</p>', None, "<p>あ</p>"),
        ("<p>あ \x1b$B</p>".encode(), None, "<p>あ \x1b$B</p>"),
    ],
)
def test_japanese_has_the_characters_of_the_encoding_standard(payload: bytes, declared: str | None, text: str) -> None:
    assert decode_page(payload, declared) == text


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


ASCII_PAGE = "<html><head>{0}</head><body><p>The river rose.</p></body></html>"


@pytest.mark.parametrize(
    "head",
    [
        '<meta charset="utf-16">',
        "<META http-equiv=Content-Type content='text/html; charset=unicode'>",
        '<meta name="description" content="how to set charset=utf-16"><meta charset="utf-8">',
        "<!-- <meta charset=koi8-r> --><meta charset=utf-8>",
        "<script src='a?charset=koi8-r'></script>",
    ],
)
def test_a_label_that_could_be_read_byte_by_byte_is_not_utf_16_and_others_need_their_place(head: str) -> None:
    page = ASCII_PAGE.format(head) + "\u0451"
    assert decode_page(page.encode(), None) == page
    xml = '<?xml version="1.0" encoding="utf-16"?>' + page
    assert decode_page(xml.encode(), None) == xml


@pytest.mark.parametrize("description", ["<!-- charset=koi8-r -->", '<meta name=d content="charset=koi8-r">', "<!-->"])
def test_what_stands_before_the_label_is_passed_over(description: str) -> None:
    page = f"<html>{description}<meta http-equiv='content-type' content='text/html;charset=\"windows-1251\"'>{RUSSIAN}"
    assert decode_page(page.encode("cp1251"), None) == page


KOREAN = "오늘 강이 이 미터 상승하여 다리가 폐쇄되었습니다. "
LITHUANIAN = "Tiltas uždarytas šiandien, sakė meras. "


@pytest.mark.parametrize(
    ("text", "encoding", "labels"),
    [
        (KOREAN, "cp949", "windows-949 ks_c_5601-1989 ksc_5601 cseuckr iso-ir-149 korean"),
        (LITHUANIAN, "cp1257", "x-cp1257 windows-1257"),
        (LITHUANIAN, "iso8859-13", "iso885913 iso8859-13"),
        (RUSSIAN, "mac-cyrillic", "x-mac-cyrillic x-mac-ukrainian"),
        (RUSSIAN, "cp866", "csibm866 866 ibm866"),
        (RUSSIAN, "koi8-r", "koi koi8 cskoi8r"),
        ("“Brücke” – 5 €", "cp1252", "iso8859-1 l1 cp819 iso-ir-100 x-cp1252"),
        (HEBREW, "iso8859-8", "logical csiso88598i visual"),
        (CHINESE, "gb18030", "chinese csgb2312 gb_2312-80 iso-ir-58 x-gbk"),
        (JAPANESE, "cp932", "ms_kanji windows-31j csshiftjis ms932"),
    ],
)
def test_every_label_of_the_encoding_standard_is_known(text: str, encoding: str, labels: str) -> None:
    for label in labels.split():
        page = f"<meta charset={label}>{text}"
        assert decode_page(page.encode(encoding), None) == page
        assert decode_page(text.encode(encoding), label.upper()) == text


def test_one_bad_byte_does_not_change_a_declared_charset() -> None:
    assert decode_page(b"The river rose \xe9 two metres", "utf-8") == "The river rose \ufffd two metres"
    page = JAPANESE.encode("cp932") + b"\xff" + JAPANESE.encode("cp932")
    assert decode_page(page, "shift_jis").count("日本語") == 10
    assert decode_page(RUSSIAN.encode("cp1251") + b"\x98", "windows-1251").startswith(RUSSIAN)


def test_a_header_that_says_utf_8_of_another_page_is_not_believed() -> None:
    page = f"<meta charset=windows-1251>{RUSSIAN}"
    assert decode_page(page.encode("cp1251"), "utf-8") == page
    assert decode_page(RUSSIAN.encode("cp1251"), "utf-8") == RUSSIAN
    assert decode_page(b"<p>plain</p>", "utf-16") == "<p>plain</p>"


def test_detection_reads_the_text_and_not_the_script_before_it() -> None:
    page = "<script>" + 'var a = "x";\n' * 9000 + "</script><p>" + RUSSIAN
    assert decode_page(page.encode("cp1251"), None) == page
    assert decode_page((KOREAN * 3).encode("cp949"), None) == KOREAN * 3


def test_utf_16_without_a_mark_is_told_by_its_first_tag() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        assert decode_page(ASCII_PAGE.encode(encoding), None) == ASCII_PAGE
