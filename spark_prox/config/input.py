"""The input of a job: `InputSpec`.

Knows the settings and their defaults; `layouts` finds columns, `frames` reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from spark_prox.errors import InputError
from spark_prox.sources.extraction import EXTRACTS
from spark_prox.sources.formats import FORMATS

__all__ = ["InputSpec", "copy_needed"]


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """The source of documents, and the columns that hold them.

    Columns left at their defaults are looked for under the names of published corpora (see `layouts`); a name that is
    given is used as it is, and a missing one is an error.

    Attributes:
        path: a file, directory, glob or comma-separated list of them; for archives also an address of the web or a list
            of paths (`warc.paths.gz`); for delta a table's path or catalog name.
        format: a name of `spark_prox.sources.formats`: jsonl (plain, .gz, .bz2, .zst), parquet, delta, wet or warc
            (WARC, WET and ARC files, plain or gzip; both names read every kind, record by record).
        id_column: unique id of a document; a null is MISSING_ID, a second use is DUPLICATE_ID. None: look for one,
            make one where there is none, and number repeated ones ("#2") so that no document is lost.
        text_column: the document's text. Dots reach into structs: `metadata.url`.
        url_column: where the document was crawled from.
        source: name stored in `source`; None: a column called `source`, else the layout's or the format's name.
        crawl: name stored in `crawl`; None: a column of a published layout, the archive's own warcinfo, or a
            CC-MAIN-YYYY-WW in the file's path.
        extract: how an HTML page becomes text: all (its whole visible text), main (resiliparse's main content) or
            trafilatura (as FineWeb made its text). See docs/sources.md.
        line_hints: keep what only HTML says of each line of a page's text, in the column `line_hints`: its element, its
            share of link text, its heading level. With `extract: all` alone, and from the first ingest of a warehouse.
        path_prefix: stands before the relative paths of a list of archives (`warc.paths.gz`); None: the host or bucket
            that the list is from, or its folder.
        max_text_chars: a longer text is TEXT_TOO_LARGE.
        verify_files: read every Parquet file through before it is used, so that a damaged page costs its file and not
            the job; False looks at footers only.
        incremental: read what is new in a Delta table since the last run, in micro-batches; refine only.
        max_files_per_trigger: most files of one micro-batch.
        max_bytes_per_trigger: bytes, as stored, after which a micro-batch takes no further file. A gibibyte of Parquet
            is some hundred thousand pages. A commit of a change data feed is never divided.
        checkpoint: where it is kept how far the table was read; None: `_checkpoints` beside the tables.
        version: read a Delta table as it was at this version; None for the last one.
        skip_change_commits: of a table without change data feed, pass over commits that update or delete, which
            otherwise end the run; the documents stay as they were.
        copy_text: False leaves the texts of a Delta table where they are: `documents` says in which version of it each
            text lies, and stages read it from there. Needs `id_column`, unique in the table. True: every document of
            this input has its text in `documents`.
    """

    path: str
    format: str = "jsonl"
    id_column: str | None = None
    text_column: str = "text"
    url_column: str = "url"
    source: str | None = None
    crawl: str | None = None
    extract: str = "all"
    line_hints: bool = False
    path_prefix: str | None = None
    max_text_chars: int = 20_000_000
    verify_files: bool = True
    incremental: bool = False
    max_files_per_trigger: int = 1_000
    max_bytes_per_trigger: int = 1 << 30
    checkpoint: str | None = None
    version: int | None = None
    skip_change_commits: bool = False
    copy_text: bool = True

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(
                "WRONG_FORMAT",
                f"input.format is {self.format!r}.",
                f"Use one of {', '.join(FORMATS)}.",
            )
        if not self.path.strip():
            raise InputError("INPUT_NOT_FOUND", "input.path is empty.", "Give a file, directory, glob or table.")
        if self.extract not in EXTRACTS:
            raise InputError(
                "INPUT_BAD_VALUE", f"input.extract is {self.extract!r}.", f"Use one of {', '.join(EXTRACTS)}."
            )
        if self.line_hints and not (self.is_archive and self.extract == "all"):
            raise InputError(
                "INPUT_BAD_VALUE",
                f"input.line_hints is set, with input.format {self.format} and input.extract {self.extract}.",
                "Hints are for the whole text of pages in archives: format warc, extract all.",
            )
        for name in ("id_column", "text_column", "url_column", "checkpoint"):
            if getattr(self, name) == "":
                raise InputError("INPUT_BAD_VALUE", f"input.{name} is empty.", "Give a name, or leave it out.")
        for name in ("max_text_chars", "max_files_per_trigger", "max_bytes_per_trigger"):
            if getattr(self, name) < 1:
                raise InputError("INPUT_BAD_VALUE", f"input.{name} is {getattr(self, name)}.", "Give a number over 0.")
        if self.version is not None and (self.version < 0 or self.incremental or not FORMATS[self.format].is_table):
            raise InputError(
                "INPUT_BAD_VALUE",
                f"input.version is {self.version}, input.format {self.format}.",
                "Give a version, from 0, of a Delta table that is read as a batch; or leave it out.",
            )
        if self.incremental and not FORMATS[self.format].is_table:
            raise InputError(
                "WRONG_FORMAT",
                f"incremental reading needs a Delta table, input.format is {self.format}.",
                "Use --input-format delta, or leave --incremental out: a batch run skips what is known.",
            )

        if not self.copy_text:
            self._check_uncopied()

    def _check_uncopied(self) -> None:
        """Raise COPY_NEEDED for an input whose texts cannot be found again."""
        if not FORMATS[self.format].is_table:
            raise copy_needed(f"input.format is {self.format}, and only a Delta table keeps its versions")
        if self.id_column is None:
            raise copy_needed("input.id_column is not set, and an id that is found or made names no row")
        if self.skip_change_commits:
            raise copy_needed("input.skip_change_commits is set, so that the table may hold other texts than were read")

    @property
    def is_archive(self) -> bool:
        """True if the input is WARC, WET or ARC files."""
        return FORMATS[self.format].content == "archive"


def copy_needed(why: str) -> InputError:
    """The error of an input whose texts have to be copied."""
    return InputError(
        "COPY_NEEDED",
        f"input.copy_text is false, but {why}.",
        "Read a Delta table with --input-format delta and --id-column, of a column that names every row once; or leave "
        "input.copy_text out.",
    )
