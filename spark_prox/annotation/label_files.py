"""Labels of people in a file that grows document by document, in the layout of `spark_prox.annotation.labels`.

The whole file is written beside the old one and put in its place, so that a kill at any moment leaves all labels of
finished documents. Knows no terminal.
"""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from spark_prox.annotation.labels import LabelledPage, load_labelled_pages
from spark_prox.documents import join_lines
from spark_prox.errors import InputError

__all__ = ["LabelFile"]


class LabelFile:
    """A file of labelled pages.

    Args:
        path: `.jsonl`, or `.jsonl.gz`, which is packed. What is in it stays.

    Raises:
        InputError: LABELS_BAD_NAME; LABELS_BAD_ROW, LABELS_DISAGREE for what is there already; LABELS_UNWRITABLE.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.name.endswith((".jsonl", ".jsonl.gz")):
            raise InputError(
                "LABELS_BAD_NAME",
                f"The label file {str(path)[:200]!r} is neither .jsonl nor .jsonl.gz.",
                "Name it labels.jsonl, as jobs/train.py and jobs/evaluate.py read it.",
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.pages = {page.page_id: page for page in load_labelled_pages([self.path])} if self.path.exists() else {}
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from None

    def add(self, page: LabelledPage) -> None:
        """Store a page, in the place of what the file says of it.

        Raises:
            InputError: LABELS_UNWRITABLE.
        """
        pages = {**self.pages, page.page_id: page}
        try:
            self._write(list(pages.values()))
        except OSError as error:
            raise self._unwritable(error) from None
        self.pages = pages

    def _write(self, pages: Sequence[LabelledPage]) -> None:
        text = "".join(json.dumps(_row(page), ensure_ascii=False) + "\n" for page in pages).encode("utf-8", "replace")
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}-", dir=self.path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(gzip.compress(text) if self.path.suffix == ".gz" else text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644)  # as any file of the user's; mkstemp makes it private
            Path(name).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise

    def _unwritable(self, error: Exception) -> InputError:
        return InputError(
            "LABELS_UNWRITABLE",
            f"The label file {str(self.path)[:200]!r} cannot be read or written ({type(error).__name__}).",
            "Check its folder and permissions, or name another file.",
        )


def _row(page: LabelledPage) -> dict[str, object]:
    return {
        "id": page.page_id,
        "url": page.url,
        "source": page.source,
        "text": join_lines(list(page.lines)),
        "keep": [int(value >= 0.5) for value in page.keep],
    }
