"""The one instance of `spark_prox.functions.Functions`: what jobs hand to the pipeline."""

from __future__ import annotations

from spark_prox.functions import Functions
from udfs.annotate import AnnotateDocuments, JudgeAnswers
from udfs.execute import DecideDocuments, ExecutePrograms
from udfs.filter import JudgeLanguage, JudgeLines, JudgeRules, KeyLines, SignDocuments
from udfs.generate import GeneratePrograms
from udfs.heuristic import WritePrograms
from udfs.ingest import ReadArchives

__all__ = ["FUNCTIONS"]

FUNCTIONS = Functions(
    read_archives=ReadArchives,
    generate_programs=GeneratePrograms,
    write_programs=WritePrograms,
    decide_documents=DecideDocuments,
    annotate_documents=AnnotateDocuments,
    judge_answers=JudgeAnswers,
    execute_programs=ExecutePrograms,
    judge_language=JudgeLanguage,
    judge_rules=JudgeRules,
    sign_documents=SignDocuments,
    key_lines=KeyLines,
    judge_lines=JudgeLines,
)
