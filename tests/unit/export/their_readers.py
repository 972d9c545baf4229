"""Reads exported shards with the frameworks' own readers, in an interpreter that has them: prints what each read.

    python tests/unit/export/their_readers.py FOLDER

FOLDER has `datatrove/`, `litgpt/` and `megatron/`, each with a split `train`. Imports nothing of this project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

__all__: list[str] = []

WINDOW = 8


def datatrove(folder: Path) -> dict[str, object]:
    """Windows of the folder's tokens, and where in them documents begin."""
    from datatrove.utils.dataset import DatatroveFolderDataset

    windows = DatatroveFolderDataset(str(folder), seq_len=WINDOW - 1, token_size=2, return_positions=True)
    rows = [windows[number] for number in range(len(windows))]
    return {
        "tokens": [row["input_ids"].tolist() for row in rows],
        "starts": [[at for at, position in enumerate(row["positions"].tolist()) if position == 0] for row in rows],
    }


def litgpt(folder: Path) -> list[list[int]]:
    """Blocks of the folder's tokens, as litgpt's LitData asks for them."""
    from litdata.streaming import StreamingDataset, TokensLoader

    return [block.tolist() for block in StreamingDataset(str(folder), item_loader=TokensLoader(block_size=WINDOW))]


def megatron(folder: Path) -> list[list[int]]:
    """The documents of all shards."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    documents = []
    for file in sorted(folder.glob("*.bin")):
        shard = IndexedDataset(str(file.with_suffix("")))
        assert shard.document_indices.tolist() == list(range(len(shard) + 1))
        documents += [shard[number].tolist() for number in range(len(shard))]
    return documents


if __name__ == "__main__":
    root = Path(sys.argv[1])
    found = {reader.__name__: reader(root / reader.__name__ / "train") for reader in (datatrove, litgpt, megatron)}
    sys.stdout.write(json.dumps(found))
