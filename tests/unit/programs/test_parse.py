from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_prox.programs import (
    AddLine,
    Code,
    DropAll,
    KeepAll,
    RemoveAll,
    RemoveLines,
    ReplaceInLine,
    ReplaceText,
    parse_program,
)
from spark_prox.programs.values import MAX_LINE_NUMBER

ANY_TEXT = st.text(st.characters(codec=None), max_size=80)
PIECES = st.sampled_from(
    ["remove_lines", "normalize", "keep_chunk", "(", ")", ",", "=", "start", "end", "3", "003", "[003]", '"', "'",
     '"""', "\\", "\n", "\r\n", " ", ";", "#", "```", "python", "-1", "9" * 40, "x", "=", "all=True", "\ud800", "\x00",
     "<lid:3>", "（", "３", "def f():", "return", "- ", "1. ", "drop_doc()"]
)  # fmt: skip
PROGRAM_LIKE = st.lists(PIECES, max_size=40).map("".join)


@pytest.mark.parametrize(
    ("program", "ops"),
    [
        ("remove_lines(start=0, end=74)", [RemoveLines(0, 74)]),
        ("remove_lines(line_start=3, line_end=5)", [RemoveLines(3, 5)]),
        ("remove_lines(end=5, start=3)", [RemoveLines(3, 5)]),
        ("remove_lines(3,5)", [RemoveLines(3, 5)]),
        ("remove_lines(3, end=5,)", [RemoveLines(3, 5)]),
        ("remove_lines ( [003] , 005 )", [RemoveLines(3, 5)]),
        ("remove_lines(\n  start=3,\n  end=5\n)", [RemoveLines(3, 5)]),
        ("remove_lines(all=True)", [RemoveAll()]),
        ("remove_lines(start=3, end=5, all=False)", [RemoveLines(3, 5)]),
        ("untouch_doc()", [KeepAll()]),
        ("skip_chunk()", [KeepAll()]),
        ("keep_chunk()", [KeepAll()]),
        ("keep_doc()", [KeepAll()]),
        ("drop_doc()", [DropAll()]),
        ('normalize(source_str="a", target_str="b")', [ReplaceText("a", "b")]),
        ("normalize('a', \"b\")", [ReplaceText("a", "b")]),
        ('normalize("a")', [ReplaceText("a", "")]),
        ('normalize("""a "b" c""")', [ReplaceText('a "b" c', "")]),
        ('normalize(r"a\\n")', [ReplaceText("a\\n", "")]),
        ('normalize("a, b=c (d) [e] #f; g")', [ReplaceText("a, b=c (d) [e] #f; g", "")]),
        ('normalize("a\nb")', [ReplaceText("a\nb", "")]),
        (r'normalize("a\"b\n\u00e9", "\t")', [ReplaceText('a"b\né', "\t", ('a\\"b\\n\\u00e9', "\\t"))]),
        (r'normalize("\ud800\q")', [ReplaceText(r"\ud800\q", "")]),
        ('normalize("He said "no" twice", "")', [ReplaceText('He said "no" twice', "")]),
        ("keep_chunk(); remove_lines(1, 2);; remove_lines(4,4)", [KeepAll(), RemoveLines(1, 2), RemoveLines(4, 4)]),
        ("remove_lines(1, 2) remove_lines(4, 4)", [RemoveLines(1, 2), RemoveLines(4, 4)]),
        ("```python\nremove_lines(1, 2)\n```", [RemoveLines(1, 2)]),
        ("```remove_lines(1, 2)```", [RemoveLines(1, 2)]),
        ("`remove_lines(1, 2)`", [RemoveLines(1, 2)]),
        ("# remove_lines(9, 9)\nremove_lines(1, 2)  # the menu", [RemoveLines(1, 2)]),
        ("def process(text: str) -> None:\n    remove_lines(1, 2)\n    return", [RemoveLines(1, 2)]),
        ("def process():\n    return keep_chunk()", [KeepAll()]),
        ("- remove_lines(1, 2)\n2. remove_lines(4, 4)\n>>> keep_chunk()",
         [RemoveLines(1, 2), RemoveLines(4, 4), KeepAll()]),
        ("<think>\n\n</think>\n\nkeep_chunk()", [KeepAll()]),
        ("remove_lines(1, 2)\r\nremove_lines(4, 4)\r\n", [RemoveLines(1, 2), RemoveLines(4, 4)]),
        ("remove_lines(1, 2)\n" * 3, [RemoveLines(1, 2)] * 3),
    ],
)  # fmt: skip
def test_a_spelling_that_models_print_is_read(program: str, ops: list[object]) -> None:
    parsed = parse_program(program)
    assert list(parsed.program) == ops
    assert not parsed.errors


@pytest.mark.parametrize(
    ("dialect", "program", "ops"),
    [
        ("refinex", "remove_str(3, 'a')\nkeep_all()", [ReplaceInLine(3, "a"), KeepAll()]),
        ("refinex", "remove_lines(start=0, end=1)", [RemoveLines(0, 1)]),
        ("ultrax", "remove_lines(1, 2)", [RemoveLines(0, 1)]),
        ("ultrax", "replace_str(<lid:3>, 'a', 'b')", [ReplaceInLine(2, "a", "b")]),
        ("ultrax", "add_line(0, 2, 'x')\nremove_all()", [AddLine(-1, 2, "x"), DropAll()]),
    ],
)
def test_a_dialect_has_its_own_calls_and_line_numbers(dialect: str, program: str, ops: list[object]) -> None:
    parsed = parse_program(program, dialect)
    assert list(parsed.program) == ops
    assert not parsed.errors


@pytest.mark.parametrize(
    ("program", "code", "line", "column"),
    [
        ("keep_chunk()\n  foo(1)", Code.UNKNOWN_CALL, 1, 2),
        ("remove_lines(5)", Code.MISSING_ARGUMENT, 0, 0),
        ("remove_lines()", Code.MISSING_ARGUMENT, 0, 0),
        ("remove_lines(1, 2, True, 4)", Code.TOO_MANY_ARGUMENTS, 0, 0),
        ("remove_lines(first=1, last=2)", Code.UNKNOWN_ARGUMENT, 0, 0),
        ("remove_lines(1, start=2)", Code.REPEATED_ARGUMENT, 0, 0),
        ("remove_lines('1', 2)", Code.WRONG_TYPE, 0, 0),
        ("remove_lines(-1, 2)", Code.WRONG_TYPE, 0, 0),
        ("remove_lines(None, 2)", Code.WRONG_TYPE, 0, 0),
        ("normalize(3)", Code.WRONG_TYPE, 0, 0),
        ("remove_lines(1.5, 2)", Code.UNREADABLE_ARGUMENTS, 0, 13),
        ("remove_lines(3, 4 5)", Code.UNREADABLE_ARGUMENTS, 0, 18),
        ("remove_lines(1_0, 20)", Code.UNREADABLE_ARGUMENTS, 0, 13),
        ("remove_lines(\u0663, 4)", Code.UNREADABLE_ARGUMENTS, 0, 13),
        ("remove_lines([1, 2])", Code.UNREADABLE_ARGUMENTS, 0, 13),
        ("remove_lines(start=1, end=2\nkeep_chunk()", Code.UNREADABLE_ARGUMENTS, 1, 0),
        ("keep_chunk\nuntouch_doc()", Code.NO_PARENTHESES, 0, 0),
        ("remove_lines(start=1, end=12", Code.TRUNCATED, 0, 28),
        ('normalize(source_str="abc', Code.TRUNCATED, 0, 25),
        ("keep_chunk()\nremove_li", Code.TRUNCATED, 1, 0),
        ("remove_lines(1, 2)\nThe rest is fine.", Code.STRAY_TEXT, 1, 0),
        ("remove_lines\uff081, 2\uff09", Code.STRAY_TEXT, 0, 0),
    ],
)
def test_an_error_has_a_code_and_a_place(program: str, code: Code, line: int, column: int) -> None:
    (error,) = parse_program(program).errors
    assert (error.code, error.line, error.column) == (code, line, column)
    assert error.counted == (code not in (Code.TRUNCATED, Code.STRAY_TEXT))


def test_a_call_cut_off_by_the_token_limit_is_dropped_and_never_guessed() -> None:
    whole = 'remove_lines(start=10, end=123)\nnormalize(source_str="abc", target_str="d")'
    for length in range(len(whole)):
        ops = parse_program(whole[:length]).program
        assert ops in ((), (RemoveLines(10, 123),))


def test_a_quote_that_is_never_closed_does_not_swallow_the_calls_after_it() -> None:
    parsed = parse_program('normalize("abc)\nremove_lines(1, 2)\nnormalize("d")')
    assert parsed.program == (RemoveLines(1, 2), ReplaceText("d"))
    parsed = parse_program("normalize('abc)\nremove_lines(1, 2)")
    assert parsed.program == (RemoveLines(1, 2),)
    assert [error.code for error in parsed.errors] == [Code.UNREADABLE_ARGUMENTS]


def test_an_enormous_number_is_cut_and_not_converted() -> None:
    parsed = parse_program(f"remove_lines(0, {'9' * 1_000_000})")
    assert parsed.program == (RemoveLines(0, MAX_LINE_NUMBER),)


@given(ANY_TEXT | PROGRAM_LIKE, st.sampled_from(["prox", "refinex", "ultrax", "rescraper"]))
def test_any_text_is_a_program_with_calls_and_positioned_errors(text: str, dialect: str) -> None:
    parsed = parse_program(text, dialect)
    assert parsed.blank == (not text.strip())
    positions = [call.start for call in parsed.calls]
    assert positions == sorted(positions)
    for error in parsed.errors:
        assert 0 <= error.start <= len(text)
        assert error.line == text.count("\n", 0, error.start)
        assert error.column == error.start - (text.rfind("\n", 0, error.start) + 1)
    for number, call in enumerate(parsed.calls):
        assert 0 <= call.start < call.stop <= len(text)
        assert (call.op is None) == any(error.call == number for error in parsed.errors)


@given(PROGRAM_LIKE)
def test_the_shortcut_for_plain_calls_reads_what_the_scanner_reads(program: str) -> None:
    plain = parse_program(program)
    scanned = parse_program("#\n" + program)  # a comment keeps the shortcut away
    assert plain.program == scanned.program
    assert [error.code for error in plain.errors] == [error.code for error in scanned.errors]
