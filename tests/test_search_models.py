"""The embedder and the reranker that the settings name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Never

import pytest

from intelforge import search_models
from intelforge.core.errors import ErrorCode, ModelError
from intelforge.core.settings import Settings
from intelforge.index.embedders.cache import EmbeddingCache
from intelforge.index.model_context import ModelContext, RemoteCall
from intelforge.search_models import SearchModels
from intelforge.testing.embedder import HashEmbedder


def named(embedder: str, *, reranker: str = "none:") -> Settings:
    return Settings.model_validate({"embedder": embedder, "reranker": reranker})


class Scene:
    """Search models over settings that a test may change."""

    def __init__(self, folder: Path) -> None:
        self.settings = named("one:")
        self.allowed: list[str] = []
        self.opened: list[str] = []
        self.models = SearchModels(
            lambda: self.settings,
            context=lambda: ModelContext(client=_never, meter=_no_call, ollama_url=lambda: ""),
            cache=lambda: EmbeddingCache(folder / "cache.db"),
            language_model=_no_model,
            allow=self.allowed.append,
        )

    def load(self, kind: str, url: str) -> Callable[..., Any]:
        self.opened.append(url)
        if url == "away:":
            raise ModelError("its key is not here", code=ErrorCode.REFUSED)
        if url == "broken:":
            raise ModelError("its weights are broken", code=ErrorCode.DAMAGED)
        return lambda url, *, context: HashEmbedder(name=url)


def _never() -> Never:
    raise AssertionError


def _no_call(call: RemoteCall) -> Never:
    raise AssertionError


async def _no_model(url: str) -> None:
    return None


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(tmp_path)
    monkeypatch.setattr(search_models, "load_backend", scene.load)
    return scene


def test_an_embedder_is_opened_once_until_the_settings_name_another(scene: Scene) -> None:
    assert scene.models.embedder() is scene.models.embedder()
    scene.settings = named("two:")
    found = scene.models.embedder()
    assert found is not None
    assert (found.name, scene.opened) == ("two:", ["one:", "two:"])


def test_an_embedder_that_was_opening_when_the_settings_named_another_is_not_kept(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(kind: str, url: str) -> Callable[..., Any]:
        if url == "one:":
            scene.settings = named("two:")
            scene.models.embedder()  # as another thread does meanwhile
        return scene.load(kind, url)

    monkeypatch.setattr(search_models, "load_backend", load)
    scene.models.embedder()
    found = scene.models.embedder()
    assert found is not None
    assert found.name == "two:"


def test_an_embedder_that_lacks_its_key_is_left_out_with_the_reason_and_tried_again(scene: Scene) -> None:
    scene.settings = named("away:")
    assert scene.models.embedder() is None
    assert str(scene.models.embedder_error).startswith("its key is not here")
    scene.models.embedder()
    assert scene.opened == ["away:", "away:"]
    scene.settings = named("one:")
    assert scene.models.embedder()
    assert scene.models.embedder_error is None


def test_whoever_wants_no_embedder_any_more_is_told_of_none_that_is_missing(scene: Scene) -> None:
    scene.settings = named("away:")
    scene.models.embedder()
    scene.settings = named("none:")
    assert scene.models.embedder() is None
    assert scene.models.embedder_error is None


def test_any_other_failure_is_raised(scene: Scene) -> None:
    scene.settings = named("broken:", reranker="broken:")
    with pytest.raises(ModelError, match="broken"):
        scene.models.embedder()
    with pytest.raises(ModelError, match="broken"):
        scene.models.reranker(None)


def test_an_embedder_of_before_is_let_out_and_opened_once(scene: Scene) -> None:
    assert scene.models.embedder_at("before:") is scene.models.embedder_at("before:")
    assert (scene.allowed, scene.opened) == (["before:"], ["before:"])
    assert scene.models.embedder_at("one:") is scene.models.embedder()


def test_none_is_opened_where_none_is_wanted(scene: Scene) -> None:
    scene.settings = named("none:")
    assert scene.models.embedder() is None
    assert scene.models.reranker(None) is None
    assert scene.models.embedder_at("none") is None
    assert not scene.opened
