"""Synthetic pages with separable content and boilerplate: for smoke runs and tests, where real labels are absent.

Content lines are sentences of one vocabulary, boilerplate lines short phrases of another. Deterministic in the seed.
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

from spark_prox.annotation.labels import LabelledPage

__all__ = ["smoke_settings", "synthetic_pages", "write_pages"]

_SENTENCE_WORDS_TEXT = """
river mountain engine history people village winter bridge market teacher music garden captain letter
forest harbour science island weather kitchen the a of and in with from was built found carried opened
measured wrote
"""
_SENTENCE_WORDS = _SENTENCE_WORDS_TEXT.split()
_MENU_WORDS_TEXT = """
Home Login Cart Share Menu Contact Privacy Terms Subscribe Search Next Previous Tags Archive Follow
"""
_MENU_WORDS = _MENU_WORDS_TEXT.split()


def _content_line(source: random.Random) -> str:
    words = source.choices(_SENTENCE_WORDS, k=source.randint(3, 24))
    return " ".join(words).capitalize() + "."


def _menu_line(source: random.Random) -> str:
    return " ".join(source.choices(_MENU_WORDS, k=source.randint(1, 4)))


def synthetic_pages(count: int, *, seed: int = 0) -> list[LabelledPage]:
    """Pages of a menu, content with a few menu lines in it, and a footer; each on a host of its own."""
    source = random.Random(seed)
    pages = []
    for number in range(count):
        lines: list[str] = []
        keep: list[float] = []
        for share, size in ((0.0, source.randint(2, 20)), (0.9, source.randint(3, 30)), (0.0, source.randint(2, 20))):
            for _ in range(size):
                content = source.random() < share
                lines.append(_content_line(source) if content else _menu_line(source))
                keep.append(float(content))
        pages.append(
            LabelledPage(
                page_id=f"synthetic-{seed}-{number}",
                source="synthetic",
                url=f"https://www.site{seed}x{number}.example/page",
                lines=tuple(lines),
                keep=tuple(keep),
            )
        )
    return pages


def write_pages(pages: list[LabelledPage], path: str | Path) -> None:
    """Write pages as the `.jsonl.gz` that `load_labelled_pages` reads."""
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        for page in pages:
            row = {
                "id": page.page_id,
                "url": page.url,
                "source": page.source,
                "text": "\n".join(page.lines),
                "keep": [int(value) for value in page.keep],
            }
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def smoke_settings(folder: str | Path) -> list[str]:
    """Write synthetic pages into a folder and give the `key=value` settings of a run of seconds on them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_pages(synthetic_pages(120), folder / "pages.jsonl.gz")
    return [
        f"labelled=['{folder / 'pages.jsonl.gz'}']",
        f"output='{folder}'",
        *("unlabelled=[]", "clean=[]", "repeat_sources=[]", "gold_share=1.0", "vocabulary=768", "layers=2", "width=64"),
        *("heads=2", "head_width=32", "mlp_width=128", "steps=60", "batch_tokens=4096", "warmup_steps=5"),
        *("learning_rate=0.01", "embedding_learning_rate=0.01", "evaluate_every=30", "precision=fp32", "threads=1"),
    ]
