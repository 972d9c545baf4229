"""Write a model directory of ProX XS's shape with random weights: only its speed means something.

Shape: ProX, arXiv 2409.17115, table of refiners: 24 layers, width 1280, 16 heads, 1 KV head, MLP 2048, vocabulary
32,000, context 2048, untied embeddings.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["TOY", "XS", "write_random_model"]

XS = {
    "vocab_size": 32_000, "hidden_size": 1280, "intermediate_size": 2048, "num_hidden_layers": 24,
    "num_attention_heads": 16, "num_key_value_heads": 1, "max_position_embeddings": 2048,
}  # fmt: skip
TOY = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 1, "max_position_embeddings": 128,
}  # fmt: skip


def write_random_model(folder: Path, shape: dict[str, int], *, device: str, dtype: str) -> Path:
    """Weights, configuration and a tokenizer whose tokens are numbers."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        **shape, rms_norm_eps=1e-5, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    with torch.device(device):
        model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({f"t{n}": n for n in range(shape["vocab_size"])}, unk_token="t0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
