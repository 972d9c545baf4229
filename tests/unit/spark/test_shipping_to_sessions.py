"""How code gets to the executors of each kind of session, with sessions that only take notes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spark_prox.spark import shipping


class Conf(dict[str, str]):
    """A session's configuration."""


def classic(master: str, **conf: str) -> Any:
    added: list[str] = []
    names: list[str] = []  # as a context keeps them

    def add(path: str) -> None:
        added.append(path)
        names.append(Path(path).name)

    context = SimpleNamespace(master=master, pythonExec="python3", addPyFile=add, _python_includes=names)
    return SimpleNamespace(sparkContext=context, conf=Conf(conf), added=added)


def connected(session_id: str) -> Any:
    added: list[str] = []
    session = type("SparkSession", (), {"__module__": "pyspark.sql.connect.session"})()
    session.session_id, session.added = session_id, added
    session.addArtifacts = lambda path, *, pyfile: added.append(path if pyfile else "")
    return session


@pytest.fixture(autouse=True)
def small_zip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refiner's weights take a second to pack."""
    monkeypatch.setattr(shipping, "build_zip", lambda target: target)
    monkeypatch.setattr(shipping, "_shipped", set())


def test_a_local_session_runs_this_interpreter_unless_somebody_named_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYSPARK_PYTHON")
    monkeypatch.delenv("PYSPARK_DRIVER_PYTHON")
    local, named = classic("local[2]"), classic("local[2]", **{"spark.pyspark.python": "/other"})
    for session in (local, named):
        shipping.ship_code(session)
    assert local.sparkContext.pythonExec == sys.executable
    assert named.sparkContext.pythonExec == "python3"
    assert not local.added
    monkeypatch.setenv("PYSPARK_PYTHON", "/other")
    again = classic("local[2]")
    shipping.ship_code(again)
    assert again.sparkContext.pythonExec == "python3"


def test_a_cluster_gets_the_code_once_a_session() -> None:
    session = classic("spark://h:7077")
    for _ in range(2):
        shipping.ship_code(session)
    assert [Path(path).suffix for path in session.added] == [".zip"]
    assert session.sparkContext.pythonExec == "python3"


def test_spark_connect_gets_an_artifact_but_from_a_server_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping.SparkContext, "_active_spark_context", None)
    session = connected("s1")
    for _ in range(2):
        shipping.ship_code(session)
    assert [Path(path).suffix for path in session.added] == [".zip"]
    monkeypatch.setattr(shipping.SparkContext, "_active_spark_context", SimpleNamespace(master="local[2]"))
    here = connected("s2")
    shipping.ship_code(here)
    assert not here.added
