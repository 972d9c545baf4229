"""The seam between spark_prox and whatever runs a language model.

An engine takes a stream of requests and gives a stream of completions, each as soon as it is finished and in any order,
so that continuous batching runs across Arrow batches. Prompts are token ids: tokenisation happens once, ahead of the
engine. Knows nothing of documents, programs, templates or Spark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Completion", "Engine", "Request", "failure", "is_ready", "unfit"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One prompt.

    Two kinds. *Generate*: greedy decoding of at most `max_new_tokens` tokens. *Read*: no decoding; at each position in
    `read_at` the engine reads how much likelier the model finds `read_tokens[0]` than `read_tokens[1]` as the next
    token, from one prefill.

    Attributes:
        request_id: chosen by the caller, unique among the requests in flight.
        prompt_token_ids: the whole prompt, special tokens included.
        max_new_tokens: most tokens to decode; 0 for a read request.
        read_at: 0-based prompt positions to read at, ascending; empty for a generate request.
        read_tokens: the two token ids to compare.
        program_lines: first and last document line that a chunk program may name, for engines that constrain it;
            None for any other text.
    """

    request_id: int
    prompt_token_ids: tuple[int, ...]
    max_new_tokens: int = 0
    read_at: tuple[int, ...] = ()
    read_tokens: tuple[int, int] = (0, 0)
    program_lines: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Completion:
    """The answer of an engine to one request.

    Attributes:
        text: the decoded text; "" for a read request.
        finish_reason: "stop", "length", "read" or "error".
        margins: log p(read_tokens[0]) - log p(read_tokens[1]) at each of `read_at`, in nats.
        error_code: a stable code when finish_reason is "error".
        error_detail: one line, never document text.
    """

    request_id: int
    text: str = ""
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    output_tokens: int = 0
    margins: tuple[float, ...] = ()
    error_code: str | None = None
    error_detail: str | None = None


class Engine(Protocol):
    """A loaded model that completes requests."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Complete every request, lazily reading `requests` while earlier ones are still in flight.

        A request that cannot be completed gives a completion with an error code; only a lost engine raises. An
        engine that holds work asks `is_ready(requests)` before it takes another request, so that it never stands
        still for one. Closing the iterator drops what is in flight. An engine that holds memory beyond its object
        has a method `close`.
        """
        ...


def failure(request: Request, code: str, detail: str) -> Completion:
    """The completion of a request that could not be completed."""
    return Completion(
        request_id=request.request_id,
        finish_reason="error",
        prompt_tokens=len(request.prompt_token_ids),
        error_code=code,
        error_detail=detail,
    )


def unfit(request: Request, *, context: int, vocabulary: int) -> Completion | None:
    """The completion of a request that a model cannot take; None for one that it can.

    Args:
        context: most tokens of prompt and answer together.
        vocabulary: token ids are below it; on a GPU a larger one would take the engine down.
    """
    tokens = len(request.prompt_token_ids)
    if tokens == 0:
        return failure(request, "PROMPT_EMPTY", "the prompt has no token")
    if tokens + request.max_new_tokens > context:
        detail = f"{tokens} prompt and {request.max_new_tokens} new tokens, context {context}"
        return failure(request, "PROMPT_TOO_LONG", detail)
    if max(request.prompt_token_ids) >= vocabulary:
        return failure(request, "TOKEN_UNKNOWN", f"a token id over the model's {vocabulary}")
    return None


def is_ready(stream: Iterator[Request]) -> bool:
    """True if the next request is there without waiting. A stream without a method `ready` counts as ready."""
    ready = getattr(stream, "ready", None)
    return ready is None or bool(ready())
