from __future__ import annotations

from pathlib import Path

import pytest

from spark_prox.model_names import HubModel, StoredModel, hub_model, pinned_model, shown_name, stored_model
from spark_prox.models import pinned_path

COMMIT = "0123456789abcdef" * 2 + "01234567"
LISTING = "0123456789abcdef" * 2


def test_a_name_of_the_hub_has_an_owner_and_may_have_a_revision() -> None:
    assert hub_model("gair-prox/web-chunk-refining-lm") == HubModel(repository="gair-prox/web-chunk-refining-lm")
    assert hub_model("a/b@feature/x") == HubModel(repository="a/b", revision="feature/x")
    for name in ("embedded", "/models/x", "./models/x", "~/x", "../x/y", "a/b/c", "a//b", "s3a://a/b", "a/b@", ""):
        assert hub_model(name) is None, name


def test_a_folder_that_is_there_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert hub_model("models/mine") is None
    assert pinned_path("models/mine") == "models/mine"


@pytest.mark.parametrize(
    "model",
    [
        HubModel(repository="a/b", revision=COMMIT),
        HubModel(repository="a/b", revision=COMMIT, tokenizer_only=True),
        StoredModel(uri="s3a://bucket/a b#c", listing=LISTING),
        StoredModel(uri="hdfs:///models/x", listing=LISTING, tokenizer_only=True),
    ],
)
def test_a_pinned_name_means_the_same_on_every_host(model: HubModel | StoredModel) -> None:
    assert pinned_model(str(model)) == model
    assert shown_name(str(model)) == (model.repository if isinstance(model, HubModel) else model.uri)
    assert pinned_path(str(model)) == str(model)


def test_only_pinned_names_are_fetched() -> None:
    assert pinned_model("a/b") is None
    assert pinned_model("a/b@main") is None
    assert pinned_model("s3a://bucket/model") is None
    assert stored_model("s3a://bucket/model/") == StoredModel(uri="s3a://bucket/model")
    assert stored_model("/models/x") is None
    assert stored_model("file:///models/x") is None
