"""The one instance of `spark_prox.functions.Functions`: what jobs hand to the pipeline."""

from __future__ import annotations

from spark_prox.functions import Functions
from udfs.annotate import ANNOTATION_COLUMNS, JUDGEMENT_COLUMNS, AnnotateDocuments, JudgeAnswers
from udfs.author import WritePrograms
from udfs.execute import DECISION_COLUMNS, DecideDocuments, ExecutePrograms
from udfs.generate import PROGRAM_COLUMNS, GeneratePrograms
from udfs.ingest import ReadArchives

__all__ = ["FUNCTIONS"]

FUNCTIONS = Functions(
    read_archives=ReadArchives,
    generate_programs=GeneratePrograms,
    write_programs=WritePrograms,
    program_columns=PROGRAM_COLUMNS,
    decide_documents=DecideDocuments,
    decision_columns=DECISION_COLUMNS,
    annotate_documents=AnnotateDocuments,
    annotation_columns=ANNOTATION_COLUMNS,
    judge_answers=JudgeAnswers,
    judgement_columns=JUDGEMENT_COLUMNS,
    execute_programs=ExecutePrograms,
)
