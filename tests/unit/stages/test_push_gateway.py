"""A push gateway is a small HTTP server here; whatever it does, the run goes on."""

from __future__ import annotations

import http.server
import sys
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from spark_prox.config.progress import ProgressConfig
from spark_prox.errors import SetupError
from spark_prox.stages.push_gateway import PushGateway

FIGURES = {"generate-doc": {"documents": 1250.0, "keep_rate": 0.5}, "execute": {"documents": 7.0}}


class Gateway:
    """What was put, by path."""

    def __init__(self, status: int = 202) -> None:
        self.put: dict[str, list[str]] = {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.put.setdefault(self.path, []).append(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.close()


def pusher(url: str, warned: list[str], figures: Mapping[str, Mapping[str, float]] = FIGURES) -> PushGateway:
    return PushGateway(ProgressConfig(push_gateway=url, push_every_s=0.05), "run-1", lambda: figures, warned.append)


def test_figures_arrive_by_stage_under_the_runs_own_name(gateway: Gateway) -> None:
    warned: list[str] = []
    push = pusher(gateway.url, warned)
    push.start()
    deadline = time.monotonic() + 10
    while not gateway.put and time.monotonic() < deadline:
        time.sleep(0.01)
    push.stop()
    (path, bodies), *others = gateway.put.items()
    assert not others
    assert path == "/metrics/job/spark_prox/run_id/run-1"
    lines = bodies[-1].splitlines()
    assert 'spark_prox_documents{stage="generate-doc"} 1250.0' in lines
    assert 'spark_prox_documents{stage="execute"} 7.0' in lines
    assert 'spark_prox_keep_rate{stage="generate-doc"} 0.5' in lines
    assert warned == []


def test_a_stage_that_ends_before_the_first_push_is_told_at_the_end(gateway: Gateway) -> None:
    config = ProgressConfig(push_gateway=gateway.url, push_every_s=3600)
    push = PushGateway(config, "run-2", lambda: FIGURES, lambda _: None)
    push.start()
    push.stop()
    assert list(gateway.put) == ["/metrics/job/spark_prox/run_id/run-2"]


def test_a_dead_gateway_is_told_of_once(gateway: Gateway) -> None:
    gateway.close()
    warned: list[str] = []
    push = pusher(gateway.url, warned)
    assert push.push() is False
    assert push.push() is False
    assert len(warned) == 1
    assert "does not answer" in warned[0]
    push.start()
    push.stop()


def test_a_gateway_that_refuses_is_a_warning() -> None:
    angry, warned = Gateway(status=500), list[str]()
    assert pusher(angry.url, warned).push() is False
    angry.close()
    assert len(warned) == 1


def test_figures_that_cannot_be_told_end_nothing(gateway: Gateway) -> None:
    def broken() -> dict[str, dict[str, float]]:
        raise RuntimeError("Spark is gone")

    config = ProgressConfig(push_gateway=gateway.url, push_every_s=0.05)
    push = PushGateway(config, "run-3", broken, lambda _: None)
    push.start()
    push.stop()
    assert gateway.put == {}


def test_a_missing_package_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SetupError, match=r"PROMETHEUS_MISSING.*pip install prometheus_client"):
        pusher("http://gateway:9091", [])


@pytest.mark.parametrize("url", ["gateway:9091", "ftp://gateway", "http://", "http://h:port", "http://h:99999"])
def test_what_is_no_url_is_an_error_of_the_configuration(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL such as"):
        ProgressConfig(push_gateway=url)
