"""A configuration file that nests, refers to itself or explodes is one error, found before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_prox.annotation.questions import load_prompt
from spark_prox.config.plain_yaml import parse_yaml
from spark_prox.config.run import load_config
from spark_prox.errors import ConfigError
from spark_prox.training.embedded.settings import read_settings

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
BAD = {
    "nested lists": "spark: " + "[" * 5_000,
    "nested lists, closed": "spark: " + "[" * 900 + "]" * 900,
    "nested mappings": "".join(" " * n + f"k{n}:\n" for n in range(400)),
    "nested flow mappings": "{a: " * 500 + "}" * 500,
    "recursion": "spark: &a {b: *a}",
    "recursion in a list": "spark: &a [1, [*a]]",
    "a mapping merged into itself": "spark: &a\n  <<: *a\n",
    "a billion laughs": LAUGHS,
    "a billion laughs by merging": LAUGHS.replace("[x, ", "{x: 1} # "),
    "too many values": "spark:\n" + "".join(f"  k{n}: 1\n" for n in range(30_000)),
    "too long": "# " + "x" * (2 << 20),
    "a Python object": "spark: !!python/object/apply:os.system [true]",
    "an impossible date": "spark: 2026-13-45",
    "an enormous number": "spark: " + "9" * 5_000,
    "an enormous hexadecimal number": "spark: 0x" + "f" * 500,
    "a number that is none": "spark: {a: .nan}",
    "an infinite number": "spark: {a: -.inf}",
    "a list as a key": "? [a]\n: 1",
    "a tab": "a:\n\t- b",
    "a control character": "a: \x01",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_hostile_file_is_one_error_with_a_code(text: str, tmp_path: Path) -> None:
    file = tmp_path / "conf.yaml"
    file.write_text(text)
    for read in (load_config, read_settings, lambda path: load_prompt(path, "doc")):
        with pytest.raises(ConfigError, match=r"CONFIG_SYNTAX|PROMPT_SYNTAX"):
            read(file)


def test_a_file_that_is_no_text_is_one_error_with_a_code(tmp_path: Path) -> None:
    file = tmp_path / "conf.yaml"
    file.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ConfigError, match="CONFIG_SYNTAX"):
        load_config(file)


@pytest.mark.parametrize("value", ["[" * 2_000 + "]" * 2_000, "&a [*a]", ".nan", "9" * 5_000])
def test_an_override_is_read_as_carefully(value: str) -> None:
    with pytest.raises(ConfigError, match="CONFIG_BAD_VALUE"):
        load_config(None, [f"spark={value}"])


def test_aliases_that_stay_small_are_taken() -> None:
    assert parse_yaml("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2") == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": {"b": 1, "e": 2},
    }
