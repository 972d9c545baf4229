"""Errors of programs, and the status of each call.

A message names codes, parameters and positions, never the program's strings: they quote the document. Knows nothing of
parsing or executing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["CallStatus", "Code", "ProgramError"]


class CallStatus(str, Enum):
    """The status of one call."""

    APPLIED = "applied"
    NO_MATCH = "no match"  # nothing to act on: the string is absent, the range is empty
    OUT_OF_RANGE = "out of range"  # names lines that are not in its chunk
    MALFORMED = "malformed"  # not a call that the dialect knows
    REFUSED = "refused"  # the policy, or an earlier edit of the same place, stood against it

    def __str__(self) -> str:
        return self.value


class Code(str, Enum):
    """Why a call, a program or a document came out as it did."""

    # The program's text.
    TRUNCATED = "TRUNCATED"  # cut off inside a call, as by the token limit
    UNREADABLE_ARGUMENTS = "UNREADABLE_ARGUMENTS"  # what stands between the brackets is no argument list
    NO_PARENTHESES = "NO_PARENTHESES"  # the name of a call without "(...)"
    UNKNOWN_CALL = "UNKNOWN_CALL"  # a call that the dialect does not have
    UNKNOWN_ARGUMENT = "UNKNOWN_ARGUMENT"
    REPEATED_ARGUMENT = "REPEATED_ARGUMENT"
    MISSING_ARGUMENT = "MISSING_ARGUMENT"
    TOO_MANY_ARGUMENTS = "TOO_MANY_ARGUMENTS"
    WRONG_TYPE = "WRONG_TYPE"  # a string for a line number, a number for a string, a negative line
    STRAY_TEXT = "STRAY_TEXT"  # prose around the calls; skipped
    # A call against its document.
    WRONG_STAGE = "WRONG_STAGE"  # a document verdict in a chunk program or the reverse
    OUT_OF_RANGE = "OUT_OF_RANGE"  # no line of the range is in the chunk
    CLAMPED = "CLAMPED"  # part of the range is not in the chunk; the rest was removed
    EMPTY_RANGE = "EMPTY_RANGE"  # first line after last line
    ALREADY_REMOVED = "ALREADY_REMOVED"  # an earlier call removed all of these lines
    ABSENT = "ABSENT"  # the string does not occur
    AMBIGUOUS = "AMBIGUOUS"  # the string occurs more than once where once is required
    OVERLAP = "OVERLAP"  # an earlier edit changed the same characters
    EMPTY_SOURCE = "EMPTY_SOURCE"  # a string to replace of no character, one space or one newline
    GROWTH = "GROWTH"  # the text would grow beyond the limit
    WORK_LIMIT = "WORK_LIMIT"  # the document's budget for searching is used up
    UNSURE = "UNSURE"  # the model's own margin is too small
    CONFLICT = "CONFLICT"  # a verdict on the whole beside other edits, or beside another verdict
    REWRITE = "REWRITE"  # new text in the place of the document's, which the policy does not allow
    # A whole program.
    NO_PROGRAM = "NO_PROGRAM"  # nothing was generated
    EMPTY_PROGRAM = "EMPTY_PROGRAM"  # the model wrote nothing
    NO_CALL = "NO_CALL"  # the model wrote something, and no call can be read in it
    TOO_MANY_ERRORS = "TOO_MANY_ERRORS"
    TOO_MANY_CALLS = "TOO_MANY_CALLS"
    DEGENERATE = "DEGENERATE"  # ends in a loop of the same calls
    CHUNK_WIPED = "CHUNK_WIPED"  # removes more of the chunk than the policy allows
    # A whole document.
    DOCUMENT_WIPED = "DOCUMENT_WIPED"  # removes more of the document than the policy allows
    FEW_WORDS = "FEW_WORDS"  # fewer words than the policy asks for were left
    EMPTY_TEXT = "EMPTY_TEXT"  # a document without a word; no program runs on it
    DROP_CALL = "DROP_CALL"  # the program says to drop it
    KEEP_CALL = "KEEP_CALL"  # the program says to keep it
    EDITS = "EDITS"  # edited, all of it as the programs say
    NO_EFFECT = "NO_EFFECT"  # calls that changed nothing
    PARTLY_REFUSED = "PARTLY_REFUSED"  # some chunk's program was refused
    PARTLY_FAILED = "PARTLY_FAILED"  # some chunk had no program

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class ProgramError:
    """One thing wrong with a program.

    Attributes:
        code: what; a value of `Code`.
        start: character of the program at which it was noticed, 0-based.
        line: line of the program, 0-based.
        column: character in that line, 0-based.
        chunk: index of the chunk program.
        call: index of the call, None for text that is no call.
        counted: whether it counts against `Policy.max_errors`.
        detail: the name of a call or parameter, where that says more.
    """

    code: Code
    start: int
    line: int
    column: int
    chunk: int = 0
    call: int | None = None
    counted: bool = True
    detail: str = ""
