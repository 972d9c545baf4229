from __future__ import annotations

from pathlib import Path

import pytest

from spark_prox.config.run import RunConfig, config_as_json, load_config
from spark_prox.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    file = folder / "conf.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_shipped_configurations_are_valid(repository: Path) -> None:
    for file in (repository / "conf").glob("*.yaml"):
        if not file.name.startswith(("train", "kubernetes")):  # another form each
            load_config(file)


def test_an_unknown_key_names_the_nearest_valid_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"CONFIG_UNKNOWN_KEY.*'chunk.max_chunk_token'.*'chunk.max_chunk_tokens'"):
        load_config(write(tmp_path, "chunk: {max_chunk_token: 5}"))


def test_an_unknown_key_in_a_stages_model_is_found_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"CONFIG_UNKNOWN_KEY.*doc.model.pth"):
        load_config(write(tmp_path, "doc: {model: {pth: x}}"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("placement: {batch_documents: many}", "CONFIG_BAD_VALUE"),
        ("placement: {batch_documents: -1}", "CONFIG_BAD_VALUE"),
        ("count_tokens: 3", "CONFIG_BAD_VALUE"),
        ("doc: 3", "CONFIG_BAD_VALUE"),
        ("doc: {decide: guess}", "CONFIG_BAD_VALUE"),
        ("model: {engine: magic}", "CONFIG_BAD_VALUE"),
        ("input: {format: jsonl}", "CONFIG_MISSING_KEY"),
        ("- a\n- b", "CONFIG_SYNTAX"),
        ("a: [", "CONFIG_SYNTAX"),
    ],
)
def test_a_wrong_file_gives_one_error_with_a_code(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert caught.value.code == code


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CONFIG_NOT_FOUND"):
        load_config(tmp_path / "none.yaml")


def test_overrides_win_over_the_command_line_and_that_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "warehouse: a\nmodel: {path: m1}\nchunk: {max_chunk_tokens: 7}")
    config = load_config(file, ["model.path=m3", "doc.enabled=false"], {"warehouse": "b", "model.path": "m2"})
    assert (config.warehouse, config.model.path, config.chunk.max_chunk_tokens) == ("b", "m3", 7)
    assert config.doc.enabled is False


def test_a_partial_section_keeps_its_own_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "doc: {enabled: true}"))
    assert config.doc.max_new_tokens == RunConfig().doc.max_new_tokens == 8


def test_a_stages_model_lies_over_the_common_one() -> None:
    config = load_config(None, ["model.path=a", "model.dtype=float32", "doc.model.path=b"])
    assert (config.stage_model("doc").path, config.stage_model("chunk").path) == ("b", "a")
    assert config.stage_model("doc").dtype == "float32"


@pytest.mark.parametrize("override", ["nonsense", "=3", "doc.enabled"])
def test_an_override_without_key_and_value_is_an_error(override: str) -> None:
    with pytest.raises(ConfigError, match="CONFIG_BAD_VALUE"):
        load_config(None, [override])


def test_the_stored_configuration_is_canonical() -> None:
    assert config_as_json(load_config(None)) == config_as_json(RunConfig())


@pytest.mark.parametrize(("text", "value"), [("1e-2", 0.01), ("1E-2", 0.01), ("1.0e-2", 0.01), ("1", 1.0)])
def test_a_number_is_read_as_people_write_it(text: str, value: float) -> None:
    """YAML takes 1e-2, which has no point, for text."""
    assert load_config(None, [f"guard.min_keep_rate={text}"]).guard.min_keep_rate == value


@pytest.mark.parametrize("text", ["1e-2x", "e5", "'nan'", "'0.01'", "[0.01]"])
def test_what_is_no_number_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"CONFIG_BAD_VALUE.*guard.min_keep_rate.*a number"):
        load_config(None, [f"guard.min_keep_rate={text}"])


def test_the_stored_configuration_hides_secrets_that_were_set_for_spark() -> None:
    secrets = ("spark.hadoop.fs.s3a.secret.key", "spark.hadoop.fs.s3a.bucket.b.access.key", "spark.ssl.keyPassword")
    spark = {**dict.fromkeys(secrets, "do-not-tell"), "spark.hadoop.fs.s3a.endpoint": "https://minio"}
    stored = config_as_json(RunConfig(spark=spark))
    assert "do-not-tell" not in stored
    assert "https://minio" in stored


@pytest.mark.parametrize(("size", "number"), [("256MB", 256 << 20), ("3 kib", 3 << 10), ("1g", 1 << 30), ("7", 7)])
def test_bytes_may_be_written_as_spark_has_them(size: str, number: int) -> None:
    assert load_config(None, [f"placement.arrow_batch_bytes={size}"]).placement.arrow_batch_bytes == number


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("placement.arrow_batch_bytes=256 MBit", "a whole number, or a size such as 256MB"),
        ("placement.arrow_batch_rows=64k", "a whole number"),
        ("filters.exact_duplicates.enabled=perhaps", "true or false"),
        ("guard.min_keep_rate=half", "a number"),
    ],
)
def test_an_error_says_which_kind_of_value_is_expected(setting: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"CONFIG_BAD_VALUE.*expected {expected}\\."):
        load_config(None, [setting])
