"""The settings of supervised fine-tuning: any Llama-like causal model into a refiner, all weights or an adapter.

The defaults are the paper's recipe for its refiners (ProX, arXiv 2409.17115, section 3.2): all parameters, 3 epochs,
64 examples a step, cosine from 1e-5 to 1e-6, the best checkpoint by F1. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass

from spark_prox.annotation.labels import SPLITS
from spark_prox.errors import ConfigError

__all__ = ["SftConfig"]

_CHOICES = {
    "precision": ("bf16", "fp32"),
    "device": ("auto", "cpu", "cuda"),
    "batching": ("auto", "packed", "padded"),
    "distributed": ("", "torch_distributor"),
}


@dataclass(frozen=True, kw_only=True)
class SftConfig:
    """The settings of a fine-tuning run.

    Attributes:
        model: folder of the model to start from, in Hugging Face layout.
        output: folder of checkpoints, the log, the curve and the finished model (`output/model`).
        examples: files or folders of training examples as JSON lines, see `sft_examples`.
        labelled: files or folders of line-labelled pages, see `labels`.
        exclude_sources: sources never trained on, for example because of their annotations' licence.
        documents_per_page: examples of the document level made from each labelled page.
        chunk_template, doc_template: prompts, as in `chunk.template` and `doc.template` of a run.
        max_prompt_tokens, max_chunk_tokens, max_new_tokens: as in a run's `chunk` section.
        epochs: passes over the examples.
        max_steps: most optimiser steps of the run; 0 for no such limit.
        batch_examples: prompts of one optimiser step, over all processes.
        micro_batch_tokens: most tokens of one forward pass; gradients of a step's passes are added up.
        batching: "packed" puts several prompts into one row of a forward pass, each with its own positions and
            attending to itself alone; "padded" pads prompts of similar length to one width. "auto" packs where a GPU
            and flash-attn are there, whose kernels skip what a prompt does not attend to; without them padding is
            faster (on a CPU 3 times, with prompts of 100 tokens).
        learning_rate, final_learning_rate: where the cosine starts and ends.
        warmup_share: share of the steps in which the learning rate rises.
        weight_decay: AdamW's, on matrices.
        content_factor: cost of a word of lost content; a word of boilerplate left in costs 1.
        lora_rank: 0 trains all parameters, otherwise adapters of this rank and nothing else.
        lora_alpha: adapters are scaled by lora_alpha / lora_rank.
        lora_targets: names of the projections that get an adapter.
        evaluate_every: steps between measurements on validation hosts; 0 for one after each epoch.
        evaluate_pages: most validation pages, and most validation documents, for one measurement; 0 means all.
        checkpoint_every: steps between checkpoints.
        report_every: steps between lines of the log.
        threads: CPU threads of each process.
        precision: "bf16" (autocast; a frozen base is stored so too) or "fp32".
        device: "auto" takes a GPU where there is one; TorchDistributor gives out GPUs for "cuda" alone.
        distributed: "torch_distributor" starts `processes` processes through Spark; torchrun needs no setting.
        processes: see there; on a cluster one for each task slot with a GPU.
        local_mode: TorchDistributor's: all processes on the driver's machine. Otherwise `output` has to be a folder
            that every executor sees.
        seed: of everything random.
    """

    model: str
    output: str
    examples: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ("daniel_waddle",)
    documents_per_page: float = 0.0
    chunk_template: str = "prox-chunk"
    doc_template: str = "prox-doc"
    max_prompt_tokens: int = 2048
    max_chunk_tokens: int = 1500
    max_new_tokens: int = 256
    epochs: int = 3
    max_steps: int = 0
    batch_examples: int = 64
    micro_batch_tokens: int = 8192
    batching: str = "auto"
    learning_rate: float = 1e-5
    final_learning_rate: float = 1e-6
    warmup_share: float = 0.03
    weight_decay: float = 0.0
    content_factor: float = 2.0
    lora_rank: int = 0
    lora_alpha: float = 32.0
    lora_targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    evaluate_every: int = 0
    evaluate_pages: int = 60
    checkpoint_every: int = 50
    report_every: int = 5
    threads: int = 1
    precision: str = "bf16"
    device: str = "auto"
    distributed: str = ""
    processes: int = 2
    local_mode: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise _bad(name, getattr(self, name), "one of " + ", ".join(map(repr, allowed)))
        for name in ("epochs", "batch_examples", "micro_batch_tokens", "checkpoint_every", "report_every", "processes"):
            if getattr(self, name) < 1:
                raise _bad(name, getattr(self, name), "at least 1")
        if not 0 <= self.final_learning_rate <= self.learning_rate or not 0 <= self.warmup_share < 1:
            raise _bad("learning_rate", self.learning_rate, "at least final_learning_rate, and warmup_share below 1")
        if not self.examples and not self.labelled:
            raise ConfigError(
                "CONFIG_MISSING_KEY", "fine-tuning needs examples or labelled pages.", f"Their hosts go to {SPLITS}."
            )


def _bad(name: str, value: object, expected: str) -> ConfigError:
    return ConfigError("CONFIG_BAD_VALUE", f"{name} is {value!r}.", f"Expected {expected}.")
