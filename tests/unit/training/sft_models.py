"""What the fine-tuning tests share: pages with an obvious rule, and a small Llama with random weights to learn it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from spark_prox.programs import remove_lines_program
from spark_prox.training.sft.settings import SftConfig

_CONTENT_TEXT = """
river mountain engine history people village winter bridge market teacher of with from was built found
"""
_MENU_TEXT = """
Home Login Cart Share Menu Contact Privacy Terms Subscribe Search Next Previous Tags Archive
"""
CONTENT, MENU = _CONTENT_TEXT.split(), _MENU_TEXT.split()


def obvious_examples(count: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """Rows of an example file: one or two menu lines, one to three lines of content, one or two menu lines."""
    source = random.Random(seed)
    rows = []
    for number in range(count):
        head, body, foot = (source.randint(1, most) for most in (2, 3, 2))
        lines = [" ".join(source.choices(MENU, k=source.randint(3, 6))) for _ in range(head)]
        lines += [" ".join(source.choices(CONTENT, k=source.randint(4, 8))) + "." for _ in range(body)]
        lines += [" ".join(source.choices(MENU, k=source.randint(3, 6))) for _ in range(foot)]
        rows.append(
            {
                "id": f"page-{seed}-{number}",
                "host": f"site{seed}x{number}.example",
                "stage": "chunk",
                "text": "\n".join(lines),
                "program": remove_lines_program([*range(head), *range(head + body, head + body + foot)]),
            }
        )
    return rows


def write_examples(rows: list[dict[str, Any]], path: Path) -> Path:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_small_model(folder: Path, rows: list[dict[str, Any]], *, family: str = "Llama") -> Path:
    """A model directory: 3 layers of width 64 with random weights, byte-level BPE trained on the rows."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    shown = [
        "".join(f"[{number:03d}]{line}\n" for number, line in enumerate(row["text"].split("\n"))) + row["program"]
        for row in rows
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=640,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(shown, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=True,
    )
    transformers.utils.logging.disable_progress_bar()
    getattr(transformers, f"{family}ForCausalLM")(config).save_pretrained(folder)
    return folder


def small_config(model: Path, output: Path, rows: Path, **changes: Any) -> SftConfig:
    """Settings of a run of seconds on the CPU."""
    settings: dict[str, Any] = {
        "model": str(model),
        "output": str(output),
        "examples": (str(rows),),
        "chunk_template": "prox-chunk-bare",
        "doc_template": "prox-doc-bare",
        "max_prompt_tokens": 256,
        "max_chunk_tokens": 180,
        "max_new_tokens": 40,
        "epochs": 1,
        "batch_examples": 8,
        "micro_batch_tokens": 2048,
        "learning_rate": 6e-3,
        "final_learning_rate": 1e-4,
        "precision": "fp32",
        "device": "cpu",
        "evaluate_pages": 40,
    }
    return SftConfig(**{**settings, **changes})
