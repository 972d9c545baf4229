"""Shards of every format, read back by readers of our own."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from spark_prox.errors import InputError, ModelError, TableError
from spark_prox.export.destination import WORK_FOLDER, Destination
from spark_prox.export.formats import FORMATS_OF_EXPORT, ShardWriter
from spark_prox.export.shards import ExportDocument, ShardName, ShardRecord
from spark_prox.export.token_formats import litgpt_index, token_dtype
from spark_prox.export.tokenizing import ExportTokenizer, find_tokenizer
from spark_prox.sources.object_store import ObjectStores
from tests.unit.export.readers import read_datatrove, read_litgpt, read_megatron

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAME = ShardName(3, "train", 3)
DOCUMENTS = [
    ExportDocument("a", "one two\nthree <s> </s>", "https://a.example/", "news", "CC-MAIN-2024-10", 5),
    ExportDocument("b", "", None, None, None, None, 1),
    ExportDocument("c", "vier fünf 六\n" * 50, None, "news", None, 7),
]


def written(
    folder: Path, format_name: str, tokenizer: ExportTokenizer | None, documents: Iterable[ExportDocument], **more: Any
) -> ShardRecord:
    writer = ShardWriter(destination=Destination(str(folder)), format=format_name, tokenizer=tokenizer, **more)
    return writer.write(NAME, iter(documents))


@pytest.fixture(scope="module")
def tokenizer(tiny_llama: Path) -> ExportTokenizer:
    return find_tokenizer(str(tiny_llama), "</s>", needs_eos=True)


@pytest.fixture(scope="module")
def wanted(tiny_llama: Path, tokenizer: ExportTokenizer) -> list[list[int]]:
    plain = Tokenizer.from_file(str(tiny_llama / "tokenizer.json"))
    eos = plain.token_to_id("</s>")
    assert eos is not None
    ids = [plain.encode(document.text, add_special_tokens=False).ids for document in DOCUMENTS[1:]]
    found = [[], *([*some, eos] for some in ids)]
    # The first document spells a control token out: it is text there.
    found[0] = [*tokenizer.load().encode(DOCUMENTS[0].text, add_special_tokens=False).ids, eos]
    assert found[0].count(eos) == 1
    return found


def test_datatrove_shards_have_tokens_ends_and_metadata(
    tmp_path: Path, tokenizer: ExportTokenizer, wanted: list[list[int]]
) -> None:
    record = written(tmp_path, "datatrove", tokenizer, DOCUMENTS)
    assert read_datatrove(tmp_path / "train" / "shard-00003.ds", 2) == wanted
    name, total, short = (tmp_path / "train" / "shard-00003.ds.metadata").read_text().split("\n")
    assert name.endswith("|2")
    assert int(total) == sum(map(len, wanted)) == sum(record.tokens.values())
    assert short.endswith("T")


def test_megatron_shards(tmp_path: Path, tokenizer: ExportTokenizer, wanted: list[list[int]]) -> None:
    written(tmp_path, "megatron", tokenizer, DOCUMENTS)
    assert read_megatron(tmp_path / "train" / "shard-00003") == wanted


def test_litgpt_shards(tmp_path: Path, tokenizer: ExportTokenizer, wanted: list[list[int]]) -> None:
    record = written(tmp_path, "litgpt", tokenizer, DOCUMENTS)
    chunks = [(record.files[0].path.rpartition("/")[2], dict(record.facts))]
    (tmp_path / "train" / "index.json").write_text(json.dumps(litgpt_index("uint16", chunks)))
    assert read_litgpt(tmp_path / "train") == wanted


@pytest.mark.parametrize(
    ("format_name", "vocabulary", "dtype"),
    [
        ("datatrove", 65_536, "uint16"),
        ("datatrove", 65_537, "uint32"),
        ("megatron", 65_499, "uint16"),
        ("megatron", 65_500, "int32"),
        ("litgpt", 65_536, "uint16"),
        ("litgpt", 65_537, "int32"),
    ],
)
def test_the_type_of_a_token_is_that_of_each_formats_own_writer(format_name: str, vocabulary: int, dtype: str) -> None:
    assert token_dtype(format_name, vocabulary) == dtype


def test_large_vocabularies_take_four_bytes(tmp_path: Path, tokenizer: ExportTokenizer) -> None:
    large = ExportTokenizer(path=tokenizer.path, fingerprint="f", vocabulary=128_256, eos=128_001)
    written(tmp_path, "datatrove", large, DOCUMENTS)
    written(tmp_path, "megatron", large, DOCUMENTS)
    found = read_datatrove(tmp_path / "train" / "shard-00003.ds", 4)
    assert found == read_megatron(tmp_path / "train" / "shard-00003")
    assert [document[-1] for document in found] == [128_001] * 3


def test_parquet_has_the_text_and_the_configured_columns(tmp_path: Path) -> None:
    extra = {"lang": pa.string(), "n": pa.int64()}
    documents = [document._replace(extra=("en", number)) for number, document in enumerate(DOCUMENTS)]
    record = written(tmp_path, "parquet", None, documents, extra=extra, copies=True)
    rows = pq.read_table(tmp_path / "train" / "shard-00003.parquet").to_pylist()
    assert [row["text"] for row in rows] == [document.text for document in DOCUMENTS]
    assert rows[0] == {
        **{"id": "a", "text": DOCUMENTS[0].text, "url": "https://a.example/", "source": "news"},
        **{"crawl": "CC-MAIN-2024-10", "tokens": 5, "copy": 0, "lang": "en", "n": 0},
    }
    assert (record.documents, record.tokens, record.uncounted) == ({"news": 2, "": 1}, {"news": 12}, 1)


def test_json_lines_hold_one_object_a_line_and_no_nan(tmp_path: Path) -> None:
    documents = [document._replace(extra=({"x": float("nan")}, b"\x01")) for document in DOCUMENTS]
    written(tmp_path, "jsonl", None, documents, extra={"m": pa.null(), "raw": pa.binary()})
    lines = zstd.decompress((tmp_path / "train" / "shard-00003.jsonl.zst").read_bytes()).decode().splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [row["text"] for row in rows] == [document.text for document in DOCUMENTS]
    assert (rows[0]["m"], rows[0]["raw"], "copy" in rows[0]) == ({"x": None}, "01", False)


def test_a_tokenizer_counts_the_tokens_of_text_formats(tmp_path: Path, tokenizer: ExportTokenizer) -> None:
    record = written(tmp_path, "jsonl", tokenizer, DOCUMENTS)
    counts = [len(tokenizer.load().encode(document.text, add_special_tokens=False).ids) for document in DOCUMENTS]
    assert sum(record.tokens.values()) == sum(counts)
    assert record.uncounted == 0


@pytest.mark.parametrize("format_name", FORMATS_OF_EXPORT)
def test_a_shard_is_the_same_byte_for_byte_and_its_record_says_so(
    tmp_path: Path, tokenizer: ExportTokenizer, format_name: str
) -> None:
    many = [document._replace(doc_id=f"{document.doc_id}{n}") for n in range(300) for document in DOCUMENTS]
    records = [written(tmp_path / which, format_name, tokenizer, many) for which in ("x", "y")]
    assert records[0] == records[1]
    assert records[0] == ShardRecord.from_json(json.loads(json.dumps(records[0].as_json())))
    for file in records[0].files:
        data = (tmp_path / "x" / file.path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256)
        assert data == (tmp_path / "y" / file.path).read_bytes()


@pytest.mark.parametrize("format_name", FORMATS_OF_EXPORT)
def test_a_shard_that_breaks_off_leaves_nothing_that_a_reader_finds(
    tmp_path: Path, tokenizer: ExportTokenizer, format_name: str
) -> None:
    def breaking() -> Iterator[ExportDocument]:
        yield DOCUMENTS[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(TableError, match="DISK_FULL"):
        written(tmp_path, format_name, tokenizer, breaking())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert Destination(str(tmp_path)).names(f"{WORK_FOLDER}/shards") == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TableError, match="EXPORT_UNWRITABLE"):
        Destination(str(tmp_path / "file" / "below")).check_writable()


def test_files_in_a_bucket_go_the_way_that_sparks_settings_say() -> None:
    stores = ObjectStores.of(
        {
            "fs.s3a.endpoint": "http://127.0.0.1:1",
            "fs.s3a.path.style.access": "true",
            "fs.s3a.access.key": "everybody",
            "fs.s3a.secret.key": "hush",
            "fs.s3a.bucket.other.endpoint.region": "eu-north-1",
            "fs.s3a.bucket.paid.requester.pays.enabled": "true",
        }
    )
    sent = pickle.loads(pickle.dumps(Destination("s3a://corpus/data/", stores)))
    system, path = sent._place
    assert path == "corpus/data"
    assert system.equals(stores.resolve("s3a://corpus")[0])
    assert Destination("s3a://other/x", stores)._place[0].region == "eu-north-1"
    own = Destination("s3://corpus/x?region=us-west-2&endpoint_override=127.0.0.1:2", stores)  # pyarrow's own options
    assert own._place[0].region == "us-west-2"
    with pytest.raises(InputError, match="STORE_REQUESTER_PAYS"):
        Destination("s3a://paid/x", stores).check_writable()
    assert "hush" not in repr(vars(sent))


def test_a_tokenizer_may_be_one_file_and_has_to_name_its_end(tiny_llama: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_bytes((tiny_llama / "tokenizer.json").read_bytes())
    assert find_tokenizer(str(file), "</s>", needs_eos=True).fingerprint == (
        find_tokenizer(str(tiny_llama), "</s>", needs_eos=True).fingerprint
    )
    assert find_tokenizer(str(file), "", needs_eos=False).eos is None
    for eos in ("", "<nowhere>"):
        with pytest.raises(ModelError, match="EXPORT_NO_EOS"):
            find_tokenizer(str(file), eos, needs_eos=True)
    with pytest.raises(ModelError, match="MODEL_NOT_FOUND"):
        find_tokenizer(str(tmp_path / "none"), "", needs_eos=False)
