"""Upstream's way, with transformers: batches of pages one after the other, padded and drained, a file for each of them.

The released script does so with vLLM (see `vllm_offline.py`); this is its shape where vLLM is absent. A run that was
killed starts from the beginning: nothing says which pages are done.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.references.work import command_line, padded_model, read_pages


def main() -> None:
    """Refine all pages."""
    work, _ = command_line(__doc__)
    pages, folder = read_pages(work.pages), Path(work.output)
    folder.mkdir(parents=True, exist_ok=True)
    model = padded_model(work.model, work.batch)
    for at in range(0, len(pages), work.batch):
        rows = work.refine(pages[at : at + work.batch], model)
        (folder / f"{at:06d}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
