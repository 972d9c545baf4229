"""Engine on a served model: an OpenAI-compatible completions endpoint, as vLLM, SGLang and others offer.

It serves annotation by a model too large for a worker. Prompts are sent as token ids, which vLLM takes, so the server
sees exactly the template that was built. Up to `max_in_flight` requests run at once, over connections that are kept.
A busy server is asked again, after as long as its Retry-After says. A read request asks for the log-probabilities of
one token. Knows nothing of documents; a message never contains the server's key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Completion, Request, failure, is_ready
from spark_prox.errors import ModelError
from spark_prox.models import load_tokenizer

__all__ = ["OpenAIEngine"]

_REPEATS = 3
_REPEATED = (408, 409, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT_S = 60  # however much a server's Retry-After asks for
_LIKELIEST = 20


class OpenAIEngine:
    """Completes requests over HTTP.

    The key, if the server wants one, is taken from the environment variable OPENAI_API_KEY of the executor.

    Raises:
        ModelError: OPENAI_NO_URL when `model.base_url` is not set.
    """

    def __init__(self, spec: ModelSpec) -> None:
        if not spec.base_url.startswith(("http://", "https://")):
            raise ModelError("OPENAI_NO_URL", "model.engine is openai, and model.base_url is no URL.")
        self._spec = spec
        self._url = spec.base_url.rstrip("/") + "/completions"
        self._tokenizer = load_tokenizer(spec.path)
        self._connections = _connection_pool(spec)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._connections.clear()

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`. A request is sent as soon as another one is finished."""
        stream = iter(requests)
        running: set[Future[Completion]] = set()
        with ThreadPoolExecutor(self._spec.max_in_flight, thread_name_prefix="openai") as pool:
            more = True
            while more or running:
                while more and len(running) < self._spec.max_in_flight and (not running or is_ready(stream)):
                    request = next(stream, None)
                    if request is None:
                        more = False
                    else:
                        running.add(pool.submit(self._answer, request))
                if running:
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield future.result()

    def _answer(self, request: Request) -> Completion:
        last = len(request.prompt_token_ids) - 1
        if request.read_at not in ((), (last,)):
            return failure(request, "READ_UNSUPPORTED", "a served model is read at the end of the prompt only")
        body: dict[str, Any] = {
            "model": self._spec.served_name or self._spec.path,
            "prompt": list(request.prompt_token_ids),
            "max_tokens": max(1, request.max_new_tokens),
            "temperature": 0,
        }
        if request.read_at:
            body["logprobs"] = _LIKELIEST
        try:
            return self._completion(request, self._post(body))
        except _ServerError as error:
            return failure(request, error.code, error.detail)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            return failure(request, "SERVER_ANSWER", f"not a completion: {type(error).__name__}")

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        from urllib3.exceptions import (
            ConnectTimeoutError,
            HTTPError,
            MaxRetryError,
            NewConnectionError,
            ReadTimeoutError,
        )

        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        try:
            answer = self._connections.request("POST", self._url, body=json.dumps(body).encode(), headers=headers)
        except HTTPError as error:
            reason = (error.reason if isinstance(error, MaxRetryError) else None) or error
            late = isinstance(reason, (ConnectTimeoutError, ReadTimeoutError))
            late = late and not isinstance(reason, NewConnectionError)  # for urllib3 a refusal is a kind of timeout
            raise _ServerError("TIMEOUT" if late else "SERVER_UNREACHABLE", type(reason).__name__) from None
        if answer.status != 200:
            raise _ServerError("SERVER_REFUSED", f"HTTP {answer.status}")
        parsed: dict[str, Any] = json.loads(answer.data)
        return parsed

    def _completion(self, request: Request, answer: dict[str, Any]) -> Completion:
        choice = answer["choices"][0]
        usage = answer.get("usage") or {}
        margins: tuple[float, ...] = ()
        if request.read_at:
            table = choice["logprobs"]["top_logprobs"][0]
            values = [_logprob(table, self._tokenizer.decode([token])) for token in request.read_tokens]
            if values[0] is None or values[1] is None:
                return failure(request, "TOKEN_NOT_RANKED", f"not among the {_LIKELIEST} likeliest")
            margins = (values[0] - values[1],)
        reason = "read" if request.read_at else ("length" if choice.get("finish_reason") == "length" else "stop")
        return Completion(
            request_id=request.request_id,
            text="" if request.read_at else str(choice["text"]),
            finish_reason=reason,
            prompt_tokens=len(request.prompt_token_ids),
            output_tokens=int(usage.get("completion_tokens", 0)),
            margins=margins,
        )


def _connection_pool(spec: ModelSpec) -> Any:
    """A connection for each request in flight, through the proxy that the environment names, if it names one."""
    from urllib3 import PoolManager, ProxyManager, Retry

    settings: dict[str, Any] = {
        "maxsize": spec.max_in_flight,
        "timeout": spec.timeout_s,
        "retries": Retry(
            total=_REPEATS,
            redirect=False,  # the key goes to the server that the configuration names
            status_forcelist=_REPEATED,
            allowed_methods=None,  # a completion changes nothing on the server
            backoff_factor=0.25,
            backoff_jitter=0.25,
            retry_after_max=_LONGEST_WAIT_S,
            raise_on_status=False,
            raise_on_redirect=False,
        ),
    }
    url = urlsplit(spec.base_url)
    proxy = getproxies().get(url.scheme)
    if proxy and not proxy_bypass(url.hostname or ""):
        return ProxyManager(proxy, **settings)
    return PoolManager(**settings)


class _ServerError(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def _logprob(table: dict[str, float], token: str) -> float | None:
    """A token's log-probability; servers write tokens with or without the space before them."""
    wanted = token.strip()
    found = [value for text, value in table.items() if text.strip() == wanted]
    return max(found) if found else None
