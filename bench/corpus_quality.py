"""The paper's question at small scale: with equal training tokens, which text makes the better language model?

The arms are the same pages unchanged (keep), after rule sets, after a refiner's document level (document) or both its
levels (refined), and cleaned by people (gold, the upper bound). For each arm and seed a small Llama is trained from
scratch on the same number of tokens. Its measure is the loss on text that people kept on pages of other hosts. Pages
come from hosts that the embedded refiner was not trained on (--splits validation) and, with --unseen, from sources that
it was never trained on. An arm with fewer tokens than the budget sees its text again, as the table says.

    python bench/corpus_quality.py --output corpus-quality                # about ten minutes on one core
    python bench/corpus_quality.py --output smoke --smoke                 # synthetic pages, under a minute
    python bench/corpus_quality.py --output hours --tokens 4000000 --batch 16 --bfloat16 --held-out 300 \\
        --exclude wcxb_dev --unseen daniel_waddle                         # an hour or two on one core
    python bench/corpus_quality.py --output big --device cuda --tokens 200000000 --width 768 --layers 12 \\
        --splits train validation --texts crawl.jsonl.gz

A run that was killed goes on with the arms and seeds that are missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spark_prox.annotation.labels import LabelledPage, load_labelled_pages, pages_of_split
from spark_prox.documents import Level, join_lines, split_lines
from spark_prox.evaluation.entries import Entry, model_entry, rule_entries
from spark_prox.evaluation.executed import decide_documents, execute_pages
from spark_prox.report.run_report import table
from spark_prox.training.embedded.data import load_unlabelled_texts
from spark_prox.training.synthetic import synthetic_pages

RAW, GOLD, DOCUMENT, REFINED = "keep", "gold", "document", "refined"
SMOKE = {"tokens": 20_000, "width": 32, "layers": 1, "vocabulary": 512, "context": 64, "seeds": 2, "held_out": 20}
ROUNDS = 2000


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output", required=True, metavar="FOLDER", help="texts, runs, figures.json, table.md, losses.png"
    )
    parser.add_argument("--labelled", nargs="+", default=["../shared/data/gold_lines"], metavar="PATH")
    parser.add_argument(
        "--texts", nargs="*", default=[], metavar="FILE", help="more pages, as JSON lines; gold lacks them"
    )
    parser.add_argument("--exclude", nargs="*", default=["daniel_waddle"], metavar="SOURCE")
    parser.add_argument(
        "--unseen", nargs="*", default=[], metavar="SOURCE", help="sources whose train split nobody trained on"
    )
    parser.add_argument("--splits", nargs="+", default=["validation"], help="hosts to train on; never test")
    parser.add_argument(
        "--arms", nargs="+", default=[RAW, "c4", DOCUMENT, REFINED, GOLD], help="also ten_words, gopher, fineweb"
    )
    parser.add_argument("--model", default="embedded", help="the refiner of the arm `refined`")
    parser.add_argument("--tokens", type=int, default=200_000, help="training tokens of each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held-out", type=int, default=100, help="at most so many held-out pages")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=4, help="windows of one step")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--bfloat16", action="store_true", help="products in bfloat16 on a CPU; always on CUDA")
    parser.add_argument("--smoke", action="store_true")
    return parser.parse_args()


def gold_lines(page: LabelledPage) -> list[str]:
    """The lines that people keep of a page."""
    return [line for line, keep in zip(page.lines, page.keep, strict=True) if keep >= 0.5]


def refined_texts(entry: Entry, texts: Sequence[Sequence[str]], levels: Sequence[Level]) -> list[str]:
    """The texts that the given levels leave, through the executor. Dropped documents are left out."""
    keep = [True] * len(texts)
    if "doc" in levels:
        keep = decide_documents(len(texts), entry.rows(texts, "doc"), entry.policy)
    kept = [lines for lines, wanted in zip(texts, keep, strict=True) if wanted]
    if "chunk" not in levels:
        return [join_lines(list(lines)) for lines in kept]
    pages = execute_pages(kept, entry.rows(kept, "chunk"), entry.policy)
    return [page.text for page in pages if page.text.strip()]


def arm_texts(
    arm: str, pages: Sequence[LabelledPage], others: Sequence[Sequence[str]], args: argparse.Namespace
) -> list[str]:
    """The training documents of an arm, kept in the output folder."""
    inputs = (args.labelled, args.texts, args.exclude, args.unseen, args.splits, args.model, args.smoke)
    name = f"{arm}-{hashlib.sha256(repr(inputs).encode()).hexdigest()[:12]}.json"
    file = Path(args.output) / "texts" / name
    if not file.exists():
        started = time.monotonic()
        if arm == GOLD:
            texts = [join_lines(gold_lines(page)) for page in pages]
        else:
            entries = {entry.name: entry for entry in rule_entries()}
            model = arm in (DOCUMENT, REFINED)
            entry = model_entry(args.model, threads=args.threads) if model else entries[arm]
            levels: tuple[Level, ...] = ("doc",) if arm == DOCUMENT else entry.levels
            texts = refined_texts(entry, [*(page.lines for page in pages), *others], levels)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(texts), encoding="utf-8")
        print(f"{arm}: {len(texts)} documents in {time.monotonic() - started:.0f} s", flush=True)
    loaded: list[str] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def tokenizer_for(texts: Sequence[str], args: argparse.Namespace) -> Any:
    """Byte-level BPE trained on the pages as they are: the same for all arms. Token 0 ends a document."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=args.vocabulary,
        special_tokens=["</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def windows(documents: Sequence[Sequence[int]], args: argparse.Namespace, seed: int) -> Any:
    """Windows of context + 1 tokens up to the budget, in a random order; all of them again where they run out.

    The order is of windows, not of documents: a step on windows of one document alone says little about the rest.
    """
    import torch

    source = random.Random(seed)
    chosen: list[Any] = []
    while len(chosen) * args.context < args.tokens:
        stream = [token for document in source.sample(documents, len(documents)) for token in (*document, 0)]
        epoch = torch.tensor(stream).unfold(0, args.context + 1, args.context)
        chosen += [epoch[index] for index in source.sample(range(len(epoch)), len(epoch))]
    return torch.stack(chosen[: -(-args.tokens // args.context)])


def train_and_measure(
    documents: Sequence[Sequence[int]],
    held_out: Sequence[Sequence[int]],
    args: argparse.Namespace,
    seed: int,
    label: str,
) -> list[float]:
    """Train one model; gives its loss on each held-out document, in nats, summed over the document's tokens."""
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    shape = {"hidden_size": args.width, "intermediate_size": 3 * args.width, "num_hidden_layers": args.layers}
    heads = max(1, args.width // 32)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=args.vocabulary, num_attention_heads=heads, num_key_value_heads=heads,
            max_position_embeddings=args.context, tie_word_embeddings=True, **shape,
        )
    ).to(args.device)  # fmt: skip
    data = windows(documents, args, seed)
    steps = -(-len(data) // args.batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / (1 + steps // 10), (1 + math.cos(math.pi * step / steps)) / 2)
    )

    def loss(batch: Any, reduction: str) -> Any:
        batch = batch.to(args.device)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.device == "cuda" or args.bfloat16):
            logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        return cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten(), reduction=reduction)

    started = said = time.monotonic()
    for step, batch in enumerate(data.split(args.batch), start=1):
        value = loss(batch, "mean")
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        if time.monotonic() - said > 20:
            said = time.monotonic()
            left = (said - started) / step * (steps - step)
            print(f"  {label}: step {step}/{steps}, loss {float(value.detach()):.3f}, {left:.0f} s left", flush=True)
    with torch.inference_mode():
        return [
            sum(
                float(loss(torch.tensor([[0, *document][start : start + args.context + 1]]), "sum"))
                for start in range(0, len(document), args.context)
            )
            for document in held_out
        ]


def figures(losses: dict[str, list[list[float]]], tokens: Sequence[int]) -> list[dict[str, Any]]:
    """For each arm: mean loss in nats a token, and its difference to keep, with 95% intervals.

    Intervals resample held-out documents and seeds; differences pair both.
    """
    import numpy as np

    weights = np.array(tokens, dtype=float)
    arrays = {arm: np.array(values) for arm, values in losses.items()}
    source = np.random.default_rng(0)
    seeds = next(iter(arrays.values())).shape[0]
    draws = [(source.integers(0, seeds, seeds), source.integers(0, len(weights), len(weights))) for _ in range(ROUNDS)]

    def mean(values: Any, seed: Any, document: Any) -> float:
        return float(values[seed][:, document].sum() / (weights[document].sum() * len(seed)))

    everything = (np.arange(seeds), np.arange(len(weights)))
    rows = []
    for arm, values in arrays.items():
        row: dict[str, Any] = {"arm": arm, "loss": mean(values, *everything)}
        row["loss_by_seed"] = (values.sum(axis=1) / weights.sum()).tolist()
        row["loss_interval"] = np.percentile([mean(values, *draw) for draw in draws], [2.5, 97.5]).tolist()
        gap = values - arrays[RAW]
        row["difference"] = mean(gap, *everything)
        row["difference_interval"] = np.percentile([mean(gap, *draw) for draw in draws], [2.5, 97.5]).tolist()
        rows.append(row)
    return rows


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Differences to the pages as they are, with intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, row in enumerate(rows):
        low, high = row["difference_interval"]
        axes.plot([low, high], [place, place], color="tab:blue")
        axes.plot([row["difference"]], [place], "o", color="tab:blue")
    axes.set_yticks(range(len(rows)), [row["arm"] for row in rows])
    axes.invert_yaxis()  # in the order of the table
    axes.axvline(0, color="gray", linewidth=0.8)
    axes.set_xlabel("held-out loss minus that of the pages as they are (nats a token; left is better)")
    figure.savefig(path)


def main() -> None:
    """Refine, train, measure, compare."""
    args = arguments()
    if args.smoke:
        vars(args).update(SMOKE)
    if args.arms[0] != RAW or "test" in args.splits:
        raise SystemExit("--arms starts with keep, to which all are compared; test hosts are for the held-out text.")
    import torch

    torch.set_num_threads(args.threads)
    output = Path(args.output)
    loaded = synthetic_pages(150) if args.smoke else load_labelled_pages(args.labelled)
    pages = [page for page in loaded if page.source not in args.exclude]
    training = [page for split in args.splits for page in pages_of_split(pages, split)]
    if "train" not in args.splits:
        training += [page for page in pages_of_split(pages, "train") if page.source in args.unseen]
    test = [gold_lines(page) for page in pages_of_split(pages, "test")]
    others = [split_lines(text) for text in load_unlabelled_texts(args.texts, ("wet_text", "text"))]
    texts = {arm: arm_texts(arm, training, others, args) for arm in args.arms}
    tokenizer = tokenizer_for(texts[RAW], args)
    documents = {arm: [tokenizer.encode(text).ids for text in found] for arm, found in texts.items()}
    found = [tokenizer.encode(join_lines(lines)).ids[: 4 * args.context] for lines in test if any(lines)]
    held_out = found[:: max(1, -(-len(found) // args.held_out))]
    settings = json.dumps({**vars(args), "output": "", "arms": "", "seeds": 0}, sort_keys=True)
    losses: dict[str, list[list[float]]] = {arm: [] for arm in args.arms}
    started, done, total = time.monotonic(), 0, len(args.arms) * args.seeds
    for seed in range(args.seeds):
        for arm in args.arms:
            key = hashlib.sha256(f"{settings}/{documents[arm]}".encode()).hexdigest()[:12]
            file = output / "runs" / f"{arm}-{seed}-{key}.json"
            if not file.exists():
                values = train_and_measure(documents[arm], held_out, args, seed, f"{arm}, seed {seed}")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(values))
                done += 1
            else:
                total -= 1
            losses[arm].append(json.loads(file.read_text()))
            mean = sum(losses[arm][-1]) / sum(map(len, held_out))
            left = (time.monotonic() - started) / max(1, done) * (total - done)
            print(f"{arm}, seed {seed}: held-out loss {mean:.4f}; {done}/{total} runs, {left:.0f} s left", flush=True)
    rows = figures(losses, [len(document) for document in held_out])
    for row in rows:
        row["documents"], row["tokens"] = len(documents[row["arm"]]), sum(map(len, documents[row["arm"]]))
        row["epochs"] = args.tokens / row["tokens"]
    (output / "figures.json").write_text(json.dumps({"settings": json.loads(settings), "arms": rows}, indent=1) + "\n")
    shown = table(
        ["arm", "documents", "tokens", "epochs", "loss", "95%", "minus keep", "95%", "perplexity"],
        [
            [
                row["arm"], row["documents"], row["tokens"], f"{row['epochs']:.2f}", f"{row['loss']:.4f}",
                "{:.3f} to {:.3f}".format(*row["loss_interval"]), f"{row['difference']:+.4f}",
                "{:+.4f} to {:+.4f}".format(*row["difference_interval"]), f"{math.exp(row['loss']):.1f}",
            ]
            for row in rows
        ],
    )  # fmt: skip
    (output / "table.md").write_text(shown + "\n", encoding="utf-8")
    draw(rows, output / "losses.png")
    print(shown)


if __name__ == "__main__":
    main()
