"""The program language: model text in, refined text out, with nothing surprising in between.

`docs/programs.md` is its grammar. `refine_text` runs one program on a text, `refine_document` the programs of all
chunks of a document, `decide_document` a document-level program. Nothing here knows a model or Spark, and nothing is
ever evaluated.
"""

from spark_prox.programs.dialects import DIALECTS
from spark_prox.programs.edits import Edit, apply_edits, removed_lines, restore_text
from spark_prox.programs.errors import CallStatus, Code, ProgramError
from spark_prox.programs.explain import Explanation, explain_program
from spark_prox.programs.ops import (
    AddLine,
    DropAll,
    KeepAll,
    Op,
    RemoveAll,
    RemoveLines,
    ReplaceInLine,
    ReplaceText,
    Rewrite,
)
from spark_prox.programs.pairs import PairProgram, program_from_pair
from spark_prox.programs.parse import ParsedProgram, parse_program
from spark_prox.programs.policy import POLICIES, Policy, policy_for
from spark_prox.programs.reading import Call
from spark_prox.programs.refine import ChunkProgram, refine_document, refine_text
from spark_prox.programs.refinement import CallResult, Outcome, Refinement
from spark_prox.programs.verdict import Decision, decide_document
from spark_prox.programs.write import format_program, mark_cut, remove_lines_program, shift_lines

__all__ = [
    "DIALECTS",
    "POLICIES",
    "AddLine",
    "Call",
    "CallResult",
    "CallStatus",
    "ChunkProgram",
    "Code",
    "Decision",
    "DropAll",
    "Edit",
    "Explanation",
    "KeepAll",
    "Op",
    "Outcome",
    "PairProgram",
    "ParsedProgram",
    "Policy",
    "ProgramError",
    "Refinement",
    "RemoveAll",
    "RemoveLines",
    "ReplaceInLine",
    "ReplaceText",
    "Rewrite",
    "apply_edits",
    "decide_document",
    "explain_program",
    "format_program",
    "mark_cut",
    "parse_program",
    "policy_for",
    "program_from_pair",
    "refine_document",
    "refine_text",
    "remove_lines_program",
    "removed_lines",
    "restore_text",
    "shift_lines",
]
