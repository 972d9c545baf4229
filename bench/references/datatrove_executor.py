"""datatrove's `LocalPipelineExecutor`: reader, a block that calls transformers on padded batches, writer.

A task is a shard of the input files; its own log of completed tasks is what a run that was killed goes on from.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.references.work import Work, command_line, padded_model, read_pages


def main() -> None:
    """Cut the pages into a file for each task and run the pipeline."""
    work, options = command_line(__doc__)
    sys.path.append(options.datatrove)  # behind our own packages: only what is missing comes from there
    from datatrove.data import Document
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.base import PipelineStep
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    class Refine(PipelineStep):
        """Both levels for a batch of documents at a time."""

        name = "refine"
        type = "model"

        def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
            """See `PipelineStep`."""
            stream = iter(data)
            while batch := list(itertools.islice(stream, work.batch)):
                pages = [{"id": document.id, "text": document.text} for document in batch]
                rows = work.refine(pages, padded_model(work.model, work.batch))
                for document, row in zip(batch, rows, strict=True):
                    document.text = row["text"] or "(dropped)"  # the writer leaves out what has no text
                    yield document

    folder = Path(work.output)
    _shards(work, folder / "input")
    LocalPipelineExecutor(
        pipeline=[
            JsonlReader(str(folder / "input"), compression=None),
            Refine(),
            JsonlWriter(str(folder / "rows"), output_filename="${rank}.jsonl", compression=None),
        ],
        tasks=work.parts,
        workers=1,
        logging_dir=str(folder / "logs"),
    ).run()


def _shards(work: Work, folder: Path) -> None:
    if folder.exists():
        return
    folder.mkdir(parents=True)
    pages = read_pages(work.pages)
    for part in range(work.parts):
        lines = (json.dumps(page) + "\n" for page in pages[part :: work.parts])
        (folder / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
