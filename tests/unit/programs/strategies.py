"""Hypothesis strategies for documents, programs and operations."""

from __future__ import annotations

from hypothesis import strategies as st

from spark_prox.programs import AddLine, DropAll, KeepAll, Op, RemoveAll, RemoveLines, ReplaceInLine, ReplaceText

__all__ = ["DOCUMENTS", "OPS", "PROGRAMS", "STRINGS", "ops_of"]

_CHARACTERS = st.sampled_from("ab c,.=()\"'\\\n\t\r\u00e9\u3042\u2028\ud800\x00")
STRINGS = st.text(_CHARACTERS, max_size=6)
DOCUMENTS = st.lists(st.text(_CHARACTERS, max_size=12) | st.just("a b c a b"), min_size=1, max_size=8).map("\n".join)
_LINES = st.integers(0, 9) | st.just(10**12)

OPS: dict[str, st.SearchStrategy[Op]] = {
    "prox": st.one_of(
        st.builds(RemoveLines, _LINES, _LINES),
        st.builds(ReplaceText, STRINGS, STRINGS),
        st.sampled_from([KeepAll(), DropAll(), RemoveAll()]),
    ),
    "refinex": st.one_of(
        st.builds(RemoveLines, _LINES, _LINES), st.builds(ReplaceInLine, _LINES, STRINGS), st.just(KeepAll())
    ),
    "rescraper": st.one_of(
        st.builds(RemoveLines, _LINES, _LINES),
        st.builds(ReplaceInLine, _LINES, STRINGS.filter(lambda text: "\ud800" not in text), unique=st.just(False)),
    ),
    "ultrax": st.one_of(
        st.builds(RemoveLines, _LINES, _LINES),
        st.builds(ReplaceInLine, _LINES, STRINGS, STRINGS),
        st.builds(AddLine, st.integers(-1, 9), st.integers(0, 3), STRINGS),
        st.sampled_from([KeepAll(), DropAll()]),
    ),
}


def ops_of(dialect: str) -> st.SearchStrategy[list[Op]]:
    """Programs as lists of operations."""
    return st.lists(OPS[dialect], max_size=6)


PROGRAMS = st.lists(
    st.sampled_from(
        [
            "remove_lines(start=0, end=0)\n",
            "remove_lines(1, 2)\n",
            "remove_lines(start=2, end=90)\n",
            "remove_lines(start=3, end=1)\n",
            "remove_lines(all=True)\n",
            'normalize(source_str="a", target_str="")\n',
            'normalize("a b", "b")\n',
            'normalize("b", "a b")\n',
            'normalize(source_str=" c")\n',
            'normalize("\\n", " ")\n',
            "normalize('a\\nb', 'ab')\n",
            "keep_chunk()\n",
            "foo(1)\n",
            "remove_lines(start=1",
            "prose\n",
            ")",
            "\n",
        ]
    ),
    max_size=7,
).map("".join)
