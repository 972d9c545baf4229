"""Shards, read by datatrove, litdata (litgpt's reader) and Megatron Core.

They need other versions of packages than this project, so they live in an interpreter of their own, which the
environment variable SPARK_PROX_READERS names: one with torch, `datatrove`, `litdata` and `megatron-core`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from spark_prox.export.destination import Destination
from spark_prox.export.formats import ShardWriter
from spark_prox.export.shards import ExportDocument, ShardName
from spark_prox.export.token_formats import litgpt_index
from spark_prox.export.tokenizing import find_tokenizer
from tests.unit.export.readers import read_megatron
from tests.unit.export.their_readers import WINDOW

READERS = os.environ.get("SPARK_PROX_READERS", "")


@pytest.mark.skipif(not READERS, reason="SPARK_PROX_READERS names no interpreter with datatrove, litdata and Megatron")
def test_the_frameworks_read_what_was_written(tiny_llama: Path, tmp_path: Path) -> None:
    tokenizer = find_tokenizer(str(tiny_llama), "</s>", needs_eos=True)
    documents = [ExportDocument(f"d{n}", f"page {n} " + "word " * (n % 7)) for n in range(50)]
    for name in ("datatrove", "litgpt", "megatron"):
        writer = ShardWriter(destination=Destination(str(tmp_path / name)), format=name, tokenizer=tokenizer)
        records = [writer.write(ShardName(at, "train", at), documents[25 * at : 25 * at + 25]) for at in range(2)]
        if name == "litgpt":
            chunks = [(record.files[0].path.rpartition("/")[2], dict(record.facts)) for record in records]
            writer.destination.write_json("train/index.json", litgpt_index("uint16", chunks))
    script = Path(__file__).parent / "their_readers.py"
    done = subprocess.run([READERS, str(script), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout[done.stdout.index("{") :])
    shards = [read_megatron(tmp_path / "megatron" / "train" / f"shard-{at:05d}") for at in range(2)]
    assert found["megatron"] == [document for shard in shards for document in shard]
    windows, starts = [], []
    for shard in shards:
        tokens = [token for document in shard for token in document]
        begins = {sum(map(len, shard[:number])) for number in range(len(shard))}
        for first in range(0, len(tokens) - WINDOW + 1, WINDOW):
            windows.append(tokens[first : first + WINDOW])
            starts.append([at for at in range(WINDOW) if first + at in begins])
    assert found["litgpt"] == windows
    assert found["datatrove"]["tokens"] == windows
    # A window begins at position 0 for the reader, whatever is before it.
    assert [sorted({0, *some}) for some in starts] == [sorted({0, *some}) for some in found["datatrove"]["starts"]]
