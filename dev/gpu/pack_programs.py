"""Make the training and validation programs of the generative refiner: token ids, weights, pages to score.

    python dev/gpu/pack_programs.py --model SMOLLM2_FOLDER --gold GOLD_LINES_FOLDER --output FOLDER

Prompts come from the production prompt builder under the templates `smollm2-chunk` and `smollm2-doc`, programs and
weights from the fine-tuning code. Hosts of the test split are only in `pages`, to be scored once; validation hosts are
in `pages` and `valid`.
Writes FOLDER/programs.pack.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from insertions import with_insertions
from packs import program_streams, write_pack

from spark_prox.annotation.document_labels import load_labelled_documents
from spark_prox.annotation.labels import LabelledPage, load_labelled_pages, split_of
from spark_prox.documents import join_lines
from spark_prox.programs.write import line_ranges
from spark_prox.training.embedded.augment import augmented
from spark_prox.training.sft.examples import Example, document_examples, page_example
from spark_prox.training.sft.samples import SampleMaker, SftSample, prompt_builder
from spark_prox.training.sft.settings import SftConfig

RAW = ("wcxb_dev", "cleaneval_en_pages", "fundus_pages", "magic_html_article")
EXTRACTED = "wcxb_dev_extracted"
KINDS = ("raw", "raw, varied", "extracted", "document")
MOST_REMOVALS = 24
MAX_CHUNK_TOKENS = 1500
MAX_NEW_TOKENS = 768  # a call takes 16 tokens
CLUTTERED = 0.35  # share of the pages that get clutter inside lines
EXTRACTED_FACTOR = 4.0  # what lost content costs in text that holds little else
PASSES, VARIATIONS = 2, 2  # how often a page is there with clutter drawn anew; how often a raw one varied
WEIGHT_STEPS = 12.0  # a weight of 1, as stored
DOCUMENT_WEIGHT = 2.0


def settings(model: str, *, stage: str, content_factor: float = 2.0) -> SftConfig:
    """The settings of the prompts; a run that uses the adapter sets the same."""
    return SftConfig(
        model=model,
        output="",
        examples=("",),
        chunk_template="smollm2-chunk",
        doc_template="smollm2-doc",
        max_prompt_tokens=2432 if stage == "chunk" else 1024,
        max_chunk_tokens=MAX_CHUNK_TOKENS,
        max_new_tokens=MAX_NEW_TOKENS,
        content_factor=content_factor,
    )


def simplified(page: LabelledPage, builder: Any) -> LabelledPage:
    """The page with at most `MOST_REMOVALS` removals in a chunk: the smallest stay, so that no program is cut off."""
    keep = list(page.keep)
    for chunk in builder.chunk_prompts(join_lines(list(page.lines))).chunks:
        inside = range(chunk.first_line, chunk.last_line + 1)
        ranges = line_ranges(line for line in inside if keep[line] < 0.5)
        sizes = sorted(ranges, key=lambda span: -sum(len(page.lines[n].split()) for n in range(span[0], span[1] + 1)))
        for first, last in sizes[MOST_REMOVALS:]:
            keep[first : last + 1] = [1.0] * (last + 1 - first)
    return replace(page, keep=tuple(keep))


def chunk_example(page: LabelledPage, builder: Any, source: random.Random, share: float) -> Example:
    """A page's example, with clutter put into some of its lines for a share of the pages."""
    page = simplified(page, builder)
    calls: list[str] = []
    if source.random() < share:
        page, calls = with_insertions(page, source)
    example = page_example(page)
    kept = [] if example.program == "keep_chunk()" and calls else [example.program]
    return replace(example, program="\n".join([*kept, *calls]))


class Trainer:
    """Makes the samples of pages; one in each process.

    Args:
        model: model directory with the tokenizer.
        others: pages whose content may be put between another page's menus.
    """

    def __init__(self, model: str, others: Sequence[LabelledPage]) -> None:
        config = settings(model, stage="chunk")
        careful = settings(model, stage="chunk", content_factor=EXTRACTED_FACTOR)
        self._chunks, self._careful = SampleMaker(config), SampleMaker(careful)
        self._documents = SampleMaker(settings(model, stage="doc"))
        self._builder = prompt_builder(config, "chunk", model)
        self._others = others

    def raw(self, page: LabelledPage) -> list[tuple[int, SftSample]]:
        """A raw page, its variations, and documents made of it."""
        source = random.Random(f"generative refiner/{page.page_id}")
        found = [sample for _ in range(PASSES) for sample in self._samples(0, page, source)]
        for _ in range(VARIATIONS):
            found += self._samples(1, augmented([page, source.choice(self._others)], 0, source, share=1.0), source)
        for example in document_examples([page], per_page=2, seed=source.randrange(1 << 30)):
            weighted = replace(example, weight=example.weight * DOCUMENT_WEIGHT)
            found += ((3, sample) for sample in self._documents.samples(weighted))
        return found

    def extracted(self, page: LabelledPage) -> list[tuple[int, SftSample]]:
        """A page as an extractor gave it."""
        source = random.Random(f"generative refiner/{page.page_id}")
        return [sample for _ in range(PASSES) for sample in self._samples(2, page, source)]

    def _samples(self, kind: int, page: LabelledPage, source: random.Random) -> list[tuple[int, SftSample]]:
        example = chunk_example(page, self._builder, source, CLUTTERED)
        maker = self._careful if kind == 2 else self._chunks
        return [(kind, sample) for sample in maker.samples(example)]


_FEW = 64
_own: list[Trainer] = []  # of this process


def _start(model: str, others: Sequence[LabelledPage]) -> None:
    _own.append(Trainer(model, others))


def _page_samples(job: tuple[bool, LabelledPage]) -> list[tuple[int, SftSample]]:
    return (_own[0].raw if job[0] else _own[0].extracted)(job[1])


def training(
    pages: Sequence[LabelledPage], extracted: Sequence[LabelledPage], model: str
) -> list[tuple[int, SftSample]]:
    """Kind and sample of everything to learn from."""
    jobs = [(True, page) for page in pages] + [(False, page) for page in extracted]
    if len(jobs) <= _FEW:  # processes would take longer to start
        own = Trainer(model, pages)
        return [sample for raw, page in jobs for sample in (own.raw if raw else own.extracted)(page)]
    with multiprocessing.get_context("spawn").Pool(initializer=_start, initargs=(model, pages)) as pool:
        return [sample for some in pool.imap(_page_samples, jobs, chunksize=16) for sample in some]


def arrays(prefix: str, samples: Iterable[tuple[int, SftSample]]) -> dict[str, np.ndarray]:
    """Samples as flat arrays."""
    samples = list(samples)
    weights = (round(weight * WEIGHT_STEPS) for _, sample in samples for weight in sample.weights)
    return {
        f"{prefix}/ids": np.fromiter((id_ for _, sample in samples for id_ in sample.ids), np.uint16),
        f"{prefix}/lengths": np.fromiter((len(sample.ids) for _, sample in samples), np.uint16),
        f"{prefix}/prompts": np.fromiter((sample.prompt_tokens for _, sample in samples), np.uint16),
        f"{prefix}/weights": np.fromiter((min(255, max(1, weight)) for weight in weights), np.uint8),
        f"{prefix}/kinds": np.fromiter((kind for kind, _ in samples), np.uint8),
    }


def scored_pages(groups: dict[str, Sequence[LabelledPage]], model: str) -> tuple[bytes, np.ndarray]:
    """Validation pages with their chunks, and the chunks' prompts one after the other."""
    source = random.Random("pages to score")
    builder = prompt_builder(settings(model, stage="chunk"), "chunk", model)
    pages, ids = [], []
    for name, group in groups.items():
        for clean in group:
            inserted: list[str] = []
            page = with_insertions(clean, source, found=inserted)[0] if name.endswith("normalize") else clean
            chunks = []
            for chunk, prompt in builder.chunk_prompts(join_lines(list(page.lines))):
                tokens = () if prompt is None else prompt.token_ids
                chunks.append([chunk.first_line, len(chunk.lines), len(tokens), prompt.first_number if prompt else 0])
                ids.append(np.array(tokens, np.uint16))
            keep = [int(value >= 0.5) for value in page.keep]
            pages.append(
                {
                    "set": name,
                    "source": page.source,
                    "lines": page.lines,
                    "keep": keep,
                    "chunks": chunks,
                    "inserted": inserted,
                }
            )
    return json.dumps(pages, ensure_ascii=False).encode(), np.concatenate(ids)


def documents_to_judge(
    pages: Sequence[LabelledPage], human: tuple[list[list[str]], list[bool]], model: str
) -> tuple[dict[str, np.ndarray], list[int]]:
    """Prompts of the document stage with their labels: made documents of validation hosts, and people's."""
    builder = prompt_builder(settings(model, stage="doc"), "doc", model, decide="read")
    rows = [(0, row.text, row.program == "keep_doc()") for row in document_examples(pages, per_page=2, seed=2)]
    texts, labels = human
    rows += [(1, join_lines(lines), label) for lines, label in zip(texts, labels, strict=True)]
    rows += [
        (2, join_lines([line for line, keep in zip(page.lines, page.keep, strict=True) if keep >= 0.5]), True)
        for page in pages
    ]
    prompts = [builder.document_prompt(text) for _, text, _ in rows]
    found = {
        "documents/ids": np.fromiter((id_ for prompt in prompts for id_ in prompt.token_ids), np.uint16),
        "documents/lengths": np.fromiter((len(prompt.token_ids) for prompt in prompts), np.uint16),
        "documents/labels": np.array([label for _, _, label in rows], np.uint8),
        "documents/groups": np.array([group for group, _, _ in rows], np.uint8),
    }
    return found, list(prompts[0].read_tokens)


def spread(pages: Sequence[LabelledPage], most: int) -> list[LabelledPage]:
    """At most so many pages, evenly spaced."""
    return [pages[n * len(pages) // most] for n in range(most)] if len(pages) > most else list(pages)


Split = dict[tuple[str, str], list[LabelledPage]]


def write_programs(by_split: Split, human: tuple[list[list[str]], list[bool]], model: str, folder: Path) -> None:
    """Make all samples and write FOLDER/programs.pack.

    Args:
        by_split: pages by ("raw" or "extracted", split).
        human: documents with a human label.
        model: model directory with the tokenizer.
    """
    own, extracted = by_split["raw", "validation"], by_split["extracted", "validation"]
    groups: dict[str, Sequence[LabelledPage]] = {}
    for split, prefix in (("validation", ""), ("test", "test ")):
        raw, more = by_split["raw", split], by_split["extracted", split]
        trafilatura = [page for page in more if page.page_id.endswith("-trafilatura")]
        groups |= {f"{prefix}raw": raw, f"{prefix}extracted": trafilatura, f"{prefix}normalize": spread(raw, 60)}
    samples = training(by_split["raw", "train"], by_split["extracted", "train"], model)
    held_out = training(spread(own, 60), spread(extracted, 60), model)
    documents, read_tokens = documents_to_judge(own, human, model)
    pages, prompts = scored_pages(groups, model)
    config = json.loads((Path(model) / "config.json").read_text())
    about = {
        "kinds": KINDS,
        "weight_steps": WEIGHT_STEPS,
        "read_tokens": read_tokens,
        "eos": config["eos_token_id"],
        "max_new_tokens": MAX_NEW_TOKENS,
    }
    every = {**arrays("train", samples), **arrays("valid", held_out), **documents, "pages/ids": prompts}
    texts = {"pages/text": pages, "tokenizer": (Path(model) / "tokenizer.json").read_bytes()}
    streams = program_streams(every, texts, about)
    folder.mkdir(parents=True, exist_ok=True)
    size = write_pack(folder / "programs.pack", streams)
    for kind, name in enumerate(KINDS):
        lengths = [len(sample.ids) for found, sample in samples if found == kind]
        print(f"{name}: {len(lengths):,} samples, {sum(lengths):,} tokens")
    for name, (entry, _) in streams.items():
        print(f"  {name}: {entry['size']:,} bytes")
    print(f"programs.pack: {size:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="SmolLM2 as a model directory (tokenizer.json, config.json)")
    parser.add_argument("--gold", required=True, type=Path, help="folder of line-labelled pages")
    parser.add_argument("--human", type=Path, help="documents with a human label; default: beside the gold folder")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--pages", type=int, default=0, help="at most so many pages of each split; 0 for all")
    options = parser.parse_args()
    by_split: Split = {}
    for kind, names in (("raw", RAW), ("extracted", (EXTRACTED,))):
        for page in load_labelled_pages(options.gold / f"{name}.jsonl.gz" for name in names):
            by_split.setdefault((kind, split_of(page)), []).append(page)
    if options.pages:
        by_split = {key: spread(pages, options.pages) for key, pages in by_split.items()}
    human = load_labelled_documents(options.human or options.gold.parent / "gold_docs_dclm_human.jsonl.gz")
    write_programs(by_split, human, options.model, options.output)


if __name__ == "__main__":
    main()
