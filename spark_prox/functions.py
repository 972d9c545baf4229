"""The callables that run on executors, as the pipeline receives them.

`udfs.FUNCTIONS` is the only instance; the type lives here so that `spark_prox` need not import `udfs`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Functions"]


@dataclass(frozen=True, kw_only=True)
class Functions:
    """Classes of frozen callables and the columns that they give.

    Attributes:
        read_archives: for `mapInPandas` over archive paths.
        generate_programs: for `mapInPandas` over (doc_id, doc_hash, text); keywords stage, model, prompt.
        write_programs: the same for an author that is no language model; keywords stage, author.
        program_columns: what both give.
        decide_documents: for `mapInPandas` over the document stage's programs; keywords policy, dialect.
        decision_columns: what it gives.
        annotate_documents: for `mapInPandas` over (doc_id, doc_hash, text); keywords model, spec.
        annotation_columns: what it gives.
        judge_answers: for `mapInPandas` over stored answers and their texts; keyword spec.
        judgement_columns: what it gives.
        execute_programs: for `mapInArrow` over documents with programs; keywords policy, dialect, tokenizer.
    """

    read_archives: Callable[..., Any]
    generate_programs: Callable[..., Any]
    write_programs: Callable[..., Any]
    program_columns: str
    decide_documents: Callable[..., Any]
    decision_columns: str
    annotate_documents: Callable[..., Any]
    annotation_columns: str
    judge_answers: Callable[..., Any]
    judgement_columns: str
    execute_programs: Callable[..., Any]
