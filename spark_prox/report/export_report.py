"""The end of an export as text: documents and tokens by split and source, and where the files are."""

from __future__ import annotations

from spark_prox.export.manifest import ExportManifest, amounts
from spark_prox.report.run_report import table

__all__ = ["export_report"]

_MOST_SOURCES = 30


def export_report(manifest: ExportManifest, where: str) -> str:
    """Counts, the number of shards, and the place."""
    rows = [
        [a.split, "all" if a.source == "*" else a.source or "-", a.documents, a.tokens]
        for a in amounts(manifest.records)
    ]
    text = table(["split", "source", "documents", "tokens"], rows[:_MOST_SOURCES])
    files = [file for record in manifest.records for file in record.files]
    size = sum(file.bytes for file in files)
    return f"{text}\n\n{len(manifest.records):,} shards, {size:,} bytes of {manifest.format} in {where}"
