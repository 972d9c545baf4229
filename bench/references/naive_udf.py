"""The pandas UDF of `spark_udf.py`: Spark's workers import it by name."""

from __future__ import annotations

import json
import os

import pandas as pd

from bench.references.work import Work, padded_model


def refined_text(texts: pd.Series) -> pd.Series:
    """The refined text of each, padded with the others of its batch."""
    work = Work(**json.loads(os.environ["BENCH_WORK"]))
    pages = [{"id": "", "text": text} for text in texts]
    return pd.Series([row["text"] for row in work.refine(pages, padded_model(work.model, work.batch))])
