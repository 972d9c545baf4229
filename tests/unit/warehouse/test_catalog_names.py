"""Names of three parts are created in their catalog, and the session's own catalog and schema stay what they were."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from spark_prox.warehouse.creation import _current_catalog, _split


class Catalog:
    """The part of a session that says what is current."""

    def __init__(self) -> None:
        self.current = ("spark_catalog", "mine")

    def currentCatalog(self) -> str:  # noqa: N802 - Spark's name
        return self.current[0]

    def currentDatabase(self) -> str:  # noqa: N802
        return self.current[1]

    def setCurrentCatalog(self, name: str) -> None:  # noqa: N802
        self.current = (name, "default")

    def setCurrentDatabase(self, name: str) -> None:  # noqa: N802
        self.current = (self.current[0], name)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("", ("", "")),
        ("`corpus`.`refined`", ("", "`corpus`.`refined`")),
        ("`main`.`corpus`.`refined`", ("main", "`corpus`.`refined`")),
        ("`a.b``c`.`my corpus`.`refined`", ("a.b`c", "`my corpus`.`refined`")),
    ],
)
def test_a_name_of_three_parts_begins_with_its_catalog(name: str, parts: tuple[str, str]) -> None:
    assert _split(name) == parts


def test_the_current_catalog_and_schema_come_back() -> None:
    session: Any = SimpleNamespace(catalog=Catalog())
    with suppress(KeyError), _current_catalog(session, "main"):
        seen = session.catalog.current
        raise KeyError
    assert seen == ("main", "default")
    assert session.catalog.current == ("spark_catalog", "mine")
    for same in ("", "spark_catalog"):
        with _current_catalog(session, same):
            assert session.catalog.current == ("spark_catalog", "mine")
