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
    """A model directory: 3 layers, width 128, 4 heads, 1 KV head, untied embeddings.

    NumPy draws the weights: a test that only prompts would otherwise wait seconds for torch.
    """
    import numpy as np
    from safetensors.numpy import save_file

    width, inner, layers, heads = 128, 256, 3, 4
    tokenizer = llama2_style_tokenizer()
    words = tokenizer.get_vocab_size()  # type: ignore[attr-defined]
    shapes = {"model.embed_tokens": (words, width), "lm_head": (words, width)}
    for layer in range(layers):
        shapes |= {
            f"model.layers.{layer}.self_attn.q_proj": (width, width),
            f"model.layers.{layer}.self_attn.k_proj": (width // heads, width),
            f"model.layers.{layer}.self_attn.v_proj": (width // heads, width),
            f"model.layers.{layer}.self_attn.o_proj": (width, width),
            f"model.layers.{layer}.mlp.gate_proj": (inner, width),
            f"model.layers.{layer}.mlp.up_proj": (inner, width),
            f"model.layers.{layer}.mlp.down_proj": (width, inner),
        }
    source = np.random.default_rng(seed)
    weights = {f"{name}.weight": source.normal(0.0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}
    norms = ["model.norm", *(f"model.layers.{layer}.input_layernorm" for layer in range(layers))]
    norms += [f"model.layers.{layer}.post_attention_layernorm" for layer in range(layers)]
    weights |= {f"{name}.weight": np.ones(width, np.float32) for name in norms}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 1,
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
    }
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))  # type: ignore[attr-defined]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"})
    )
    return folder
