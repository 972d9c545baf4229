"""The one instance of `spark_prox.functions.Functions`: what jobs hand to the pipeline."""

from __future__ import annotations

from spark_prox.functions import Functions
from udfs.execute import DECISION_COLUMNS, DecideDocuments, ExecutePrograms
from udfs.generate import PROGRAM_COLUMNS, GeneratePrograms
from udfs.ingest import ReadArchives

__all__ = ["FUNCTIONS"]

FUNCTIONS = Functions(
    read_archives=ReadArchives,
    generate_programs=GeneratePrograms,
    program_columns=PROGRAM_COLUMNS,
    decide_documents=DecideDocuments,
    decision_columns=DECISION_COLUMNS,
    execute_programs=ExecutePrograms,
)
