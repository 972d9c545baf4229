"""Small models in the released refiners' architecture: Llama with one KV head, a Llama-2-style tokenizer.

Random weights: what they answer means nothing, how they are loaded, prompted, batched and read is real.
"""

from __future__ import annotations

import json
from pathlib import Path

_SENTENCES = [
    "You are a helpful, respectful and honest assistant.",
    "[INST] <<SYS>>\n<</SYS>>\n\n [/INST] [doc]\n[/doc]",
    'keep_doc() drop_doc() remove_lines(start=0, end=74) untouch_doc() normalize(source_str="a", target_str="")',
    "[000] [001] [002] [010] [123] [999] [1000]",
    "The river rises in the hills and reaches the sea after forty miles of meadows, mills and small towns.",
    "Home About Contact Login Register Subscribe Share Tweet Next Previous Copyright 2026 All rights reserved",
]


def llama2_style_tokenizer() -> object:
    """BPE over "▁"-marked words with byte fallback, BOS and EOS, no chat template: the shape of Llama-2's."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    specials = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        show_progress=False,
        special_tokens=[AddedToken(token, special=True) for token in specials] + [f"<0x{n:02X}>" for n in range(256)],
    )
    tokenizer.train_from_iterator(_SENTENCES * 4, trainer)
    return tokenizer


def write_tiny_llama(folder: Path, *, seed: int = 0, context: int = 512) -> Path:
    """A model directory: 3 layers, width 128, 4 heads, 1 KV head, untied embeddings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = llama2_style_tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))  # type: ignore[attr-defined]
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),  # type: ignore[attr-defined]
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=1,
        max_position_embeddings=context,
        rms_norm_eps=1e-5,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"})
    )
    return folder
