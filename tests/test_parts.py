"""The embedder and the reranker of a workspace: reached through egress, entered in the ledger, behind one cache."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pydantic_ai.models
import pytest
from sqlalchemy.engine import make_url

from intelforge import Workspace
from intelforge.core.chat import ChatRequest, Message, Role
from intelforge.core.clock import utc_now
from intelforge.core.errors import ConfigError, ErrorCode, ModelError, StorageError
from intelforge.core.model_reports import Profile, Skill, Trial
from intelforge.core.search import SearchRequest
from intelforge.core.settings_file import load_settings
from intelforge.index.embedders.cache import CacheCounts
from intelforge.models.endpoint import Limits
from intelforge.models.gateway import Options
from intelforge.models.response_cache.cache import ResponseCache
from intelforge.parts import STATE, Parts
from intelforge.testing.embedding_server import EmbeddingServer
from intelforge.testing.model_server import ModelServer, ServerReply, ServerRequest, chat_reply, error_reply, json_reply
from intelforge.testing.rerank_server import RerankServer
from intelforge.testing.threaded_server import served
from intelforge.testing.weaviate_server import WeaviateDouble

LEAN = 'llm = "none:"\njobs = "memory:"\nworkers = 1\n'


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with EmbeddingServer() as running:
        yield running


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    folder = Workspace.init(tmp_path / "workspace")
    (folder / "intelforge.toml").write_text(LEAN)
    files = tmp_path / "files"
    files.mkdir()
    for name in ("carrots", "beets", "leeks"):
        (files / f"{name}.md").write_text(f"# {name}\n\nBoil the {name} in salted water.\n")
    async with Workspace.open(folder, embedder="none:") as workspace:
        await workspace.add(files)
    return folder


async def embedded(root: Path, url: str) -> int:
    """How many chunks a sync embeds."""
    async with Workspace.open(root, embedder=url) as workspace:
        return (await workspace.sync()).chunks_embedded


async def test_what_was_embedded_once_is_never_asked_for_again(root: Path, server: EmbeddingServer) -> None:
    url = f"{server.url}/v1#some-model"
    assert await embedded(root, url) == 3
    asked = len(server.requests)
    shutil.rmtree(root / STATE / "index")
    assert await embedded(root, url) == 3
    async with Workspace.open(root, embedder=url) as workspace:
        for _ in range(2):
            assert "carrots" in ((await workspace.search("carrots")).hits)[0].location
    assert len(server.requests) == asked + 1
    assert server.texts[-1] == ["carrots"]
    assert (root / STATE / "cache" / "embeddings.db").is_file()


def place(server: EmbeddingServer | RerankServer) -> str:
    """Host and port, as the ledger has them."""
    return server.url.removeprefix("http://")


async def test_every_request_is_in_the_ledger(root: Path, server: EmbeddingServer) -> None:
    await embedded(root, f"tei:{server.url}")
    server.failures = [error_reply(401, "No")]
    async with Workspace.open(root, embedder=f"tei:{server.url}") as workspace:
        assert len((await workspace.search("carrots")).hits) == 1
        calls = await workspace._parts.calls.all()
    assert [(call["model"], call["purpose"], call["state"]) for call in calls] == [
        (f"tei:{place(server)}/unnamed", "embed", "settled"),
        (f"tei:{place(server)}/unnamed", "embed", "failed"),
    ]
    assert [call["cost_usd"] for call in calls] == [0.0, 0.0]


async def test_without_its_key_search_is_by_words_and_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with Workspace.open(root, embedder="openai:text-embedding-3-small") as workspace:
        assert (await workspace.sync()).chunks_embedded == 0
        assert len((await workspace.search("carrots")).hits) == 1
        [note] = (await workspace.status()).notes
        assert "OPENAI_API_KEY is not set" in note


async def test_doctor_asks_the_model_itself(root: Path, server: EmbeddingServer) -> None:
    async with Workspace.open(root, embedder=f"{server.url}/v1#some-model") as workspace:
        for failures, ok in (([], True), ([error_reply(401, "No")], False), ([], True)):
            server.failures = list(failures)
            [check] = [check for check in await workspace.doctor() if check.name == "embedding model"]
            assert check.ok is ok
    assert len(server.requests) == 3


async def test_doctor_needs_no_open_workspace(root: Path, server: EmbeddingServer) -> None:
    checks = await Workspace.open(root, embedder=f"{server.url}/v1#some-model").doctor()
    assert [check.ok for check in checks if check.name == "embedding model"] == [True]


async def test_a_model_that_is_not_known_is_an_error(root: Path) -> None:
    async with Workspace.open(root, embedder="onnx:unheard-of") as workspace:
        with pytest.raises(ModelError) as caught:
            await workspace.search("carrots")
    assert caught.value.error_code is ErrorCode.NOT_FOUND


async def test_indexing_and_searching_have_one_embedder_and_one_cache(tmp_path: Path, server: EmbeddingServer) -> None:
    flags = {"embedder": f"{server.url}/v1#m", "database": "sqlite:///test.db", "llm": "none:"}
    parts = Parts(tmp_path, load_settings(tmp_path, flags=flags, environment={})[0])
    await parts.open()
    embedder = parts.search_models.embedder()
    assert embedder
    assert embedder is parts.search_models.embedder()
    await embedder.embed(["x", "y"])
    await embedder.embed(["x"])
    assert parts.embedding_cache.counts == CacheCounts(hits=1, misses=2)
    await parts.close()


async def test_what_a_search_embedded_is_not_embedded_again(root: Path, server: EmbeddingServer) -> None:
    async with Workspace.open(root, embedder=f"{server.url}/v1#some-model", rerank_seconds=60) as workspace:
        await workspace.sync(embed=False)
        await workspace.search("boil the carrots in salted water")
        assert server.texts == [["boil the carrots in salted water"]]
        await workspace.search(SearchRequest(query="boil the carrots in salted water", rerank=True))
        embedded = [text for texts in server.texts[1:] for text in texts]
        assert len(embedded) == 3
        assert (await workspace.sync()).chunks_embedded == 3
        assert len([text for texts in server.texts[1:] for text in texts]) == 3


QUERY = "beets in salted water"


@pytest.fixture
async def reranking() -> AsyncIterator[RerankServer]:
    async with RerankServer() as running:
        yield running


async def best(root: Path, reranker: str) -> list[str]:
    """The name of the best file after a closer look, then the notes of the search, then the calls in the ledger."""
    async with Workspace.open(root, embedder="none:", reranker=reranker, rerank_seconds=30) as workspace:
        await workspace.sync()
        result = await workspace.search(SearchRequest(query=QUERY, rerank=True))
        calls = await workspace._parts.calls.all()
    return [
        result.hits[0].location.rpartition("/")[2],
        *result.notes,
        *(f"{call['model']} {call['purpose']} {call['state']}" for call in calls),
    ]


async def test_a_reranker_is_reached_and_in_the_ledger(
    root: Path, reranking: RerankServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTELFORGE_RERANKER_API_KEY_127_0_0_1", reranking.key)
    monkeypatch.setenv("INTELFORGE_LLM_API_KEY_127_0_0_1", reranking.key)
    for url, model in (
        (f"tei:{reranking.url}", f"tei:{place(reranking)}/unnamed"),
        (f"{reranking.url}/v1#m", f"compatible:{place(reranking)}/m"),
        (f"judge:{reranking.url}/v1#n", f"compatible:{place(reranking)}/n"),
    ):
        found, *_, last = await best(root, url)
        assert (found, last) == ("beets.md", f"{model} rerank settled")


async def test_a_reranker_that_fails_leaves_the_order_of_the_search_and_says_so(
    root: Path, reranking: RerankServer
) -> None:
    reranking.failures = [ServerReply(body=b"<html>")]
    found, note, *_, last = await best(root, f"tei:{reranking.url}")
    assert (found, last) == ("beets.md", f"tei:{place(reranking)}/unnamed rerank failed")
    assert note.startswith("the closer look failed (")
    assert "gave no usable reply" in note


async def test_a_reranker_without_its_key_or_folder_is_left_out_and_status_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("CO_API_KEY", raising=False)
    for url, said in (("cohere:rerank-v3.5", "COHERE_API_KEY"), ("onnx:nowhere", "nowhere holds no tokenizer.json")):
        found, lacking = await best(root, url)
        assert (found, said in lacking) == ("beets.md", True)
        async with Workspace.open(root, embedder="none:", reranker=url) as workspace:
            [note] = (await workspace.status()).notes
            assert said in note
            [check] = [check for check in await workspace.doctor() if check.name == "reranker"]
            assert (check.ok, check.required) == (False, False)
            assert said in check.detail


async def test_doctor_asks_the_reranker_itself(
    root: Path, reranking: RerankServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTELFORGE_RERANKER_API_KEY_127_0_0_1", reranking.key)
    for url, ok in ((f"tei:{reranking.url}", True), ("none:", True), ("late:", True)):
        async with Workspace.open(root, embedder="none:", reranker=url) as workspace:
            [check] = [check for check in await workspace.doctor() if check.name == "reranker"]
            assert check.ok is ok
    assert len(reranking.requests) == 1
    reranking.key = "another"
    async with Workspace.open(root, embedder="none:", reranker=f"tei:{reranking.url}") as workspace:
        [check] = [check for check in await workspace.doctor() if check.name == "reranker"]
        assert (check.ok, check.fix) == (False, "check the key and what it may use")


async def test_the_settings_of_language_models_reach_the_gateway(tmp_path: Path) -> None:
    flags = {
        "database": "sqlite:///test.db",
        "llm": "mock:One%2C%20two., mock:Three.",
        "llm_timeout": 9,
        "llm_connect_timeout": 1,
        "llm_first_token_timeout": 2,
        "llm_token_timeout": 3,
        "llm_max_tokens": 44,
        "llm_retries": 5,
        "llm_hedge_seconds": 0.5,
        "llm_record": "runs/all.jsonl",
    }
    settings, _ = load_settings(tmp_path, flags=flags, environment={})
    parts = Parts(tmp_path, settings)
    await parts.open()
    try:
        assert parts.gateway.options == Options(
            limits=Limits(total=9, connect=1, first_token=2, token=3, max_tokens=44),
            retry=parts.gateway.options.retry,
            hedge_seconds=0.5,
            record=str(tmp_path / "runs" / "all.jsonl"),
        )
        assert parts.gateway.options.retry.retries == 5
        model = await parts.model()
        assert model is not None
        assert model is await parts.model()
        assert (await model.complete("What?", instructions="", purpose="answer")).text == "One, two."
        assert parts.gateway.names() == ["mock:One%2C%20two.", "mock:Three."]
        (call,) = await parts.calls.all()
        assert call["state"] == "settled"
    finally:
        await parts.close()
    assert (tmp_path / "runs" / "all.jsonl").read_text().count("\n") == 1


async def test_a_language_model_that_cannot_be_used_is_found_by_the_doctor_and_by_models_check(root: Path) -> None:
    def respond(request: ServerRequest) -> ServerReply:
        return json_reply({"data": [{"id": "large"}]})

    async with ModelServer(respond) as server, Workspace.open(root, llm=f"{server.url}/v1#tiny") as workspace:
        (look,) = [check for check in await workspace.doctor() if check.name == "language model"]
        (check,) = await workspace.check_models()
        (fine,) = await workspace.check_models(f"{server.url}/v1#large")
    assert not look.ok
    assert not look.required
    assert "not among the 1 models" in look.detail
    assert (check.present, fine.ok) == (False, True)


async def test_the_next_model_of_a_chain_writes_the_answer(root: Path) -> None:
    async with (
        ModelServer(lambda request: error_reply(503, "down")) as server,
        Workspace.open(root, llm=f"{server.url}/v1#tiny, mock:", llm_retries=0) as workspace,
    ):
        await workspace.sync()
        answer = await workspace.ask("How are carrots boiled?")
    assert answer.model == "mock:"
    assert server.requests


@pytest.fixture
def secrets(root: Path) -> Path:
    folder = root / "secrets"
    folder.mkdir(mode=0o700)
    with (root / "intelforge.toml").open("a") as settings:
        settings.write('secrets = "folder:secrets"\n')
    return folder


def put(folder: Path, name: str, secret: str) -> None:
    (folder / name).write_text(f"{secret}\n")
    (folder / name).chmod(0o600)


async def test_passwords_in_urls_come_from_secrets_and_are_shown_nowhere(
    root: Path, secrets: Path, postgres_url: str
) -> None:
    password = "p@ss:w/rd-0123"
    put(secrets, "db_password", password)
    put(secrets, "cache_password", password)
    named = make_url(postgres_url).set(password="named").render_as_string(hide_password=False)
    database = named.replace(":named@", ":${secret:db_password}@")
    cache = "redis://:${secret:cache_password}@127.0.0.1:1/0"
    async with Workspace.open(root, database=database, cache=cache, embedder="none:") as workspace:
        parts = workspace._parts
        assert make_url(parts.database.jobs_url).password == password
        kept = parts.lending.cache
        assert isinstance(kept, ResponseCache)
        assert await kept.find(ChatRequest(messages=(Message.of(Role.USER, "What?"),)), model="a:b") is None
        said = f"{parts.database.shown_url} {kept.trouble} {workspace.settings()} {vars(parts)!r}"
        assert "p@ss" not in said
        assert quote(password, safe="") not in said
        assert "${secret:db_password}" in said


async def test_a_secret_that_is_not_there_is_said_by_its_name(root: Path, secrets: Path) -> None:
    opening = Workspace.open(root, database="postgresql://me:${secret:db_password}@127.0.0.1:1/x")
    with pytest.raises(ConfigError, match="'database' names the secret 'db_password'"):
        await opening.__aenter__()


@pytest.mark.parametrize("scheme", ["", "tei:"])
async def test_keys_of_embedders_come_from_secrets(
    root: Path, secrets: Path, server: EmbeddingServer, scheme: str
) -> None:
    put(secrets, "intelforge_embedder_api_key_127_0_0_1", "sk-of-the-folder")
    assert await embedded(root, f"{scheme}{server.url}{'' if scheme else '/v1#m'}") == 3
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer sk-of-the-folder"}


async def test_keys_of_rerankers_come_from_secrets(root: Path, secrets: Path, reranking: RerankServer) -> None:
    put(secrets, "INTELFORGE_RERANKER_API_KEY_127_0_0_1", reranking.key)
    _, *_, last = await best(root, f"{reranking.url}/v1#m")
    assert last == f"compatible:{place(reranking)}/m rerank settled"


@pytest.mark.parametrize("scheme", ["", "tei:"])
async def test_no_key_of_an_embedder_or_reranker_goes_over_plain_http(
    root: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    for kind in ("EMBEDDER", "RERANKER"):
        monkeypatch.setenv(f"INTELFORGE_{kind}_API_KEY_GPU_LAN", "sk-of-the-server")
    url = f"{scheme}http://gpu.lan/v1#m"
    async with Workspace.open(root, embedder=url, reranker=url) as workspace:
        parts = workspace._parts
        assert parts.search_models.embedder() is None
        assert parts.search_models.reranker(None) is None
        for error in (parts.search_models.embedder_error, parts.search_models.reranker_error):
            assert error is not None
            assert "would go over plain http" in error.message


async def test_keys_of_language_models_come_from_secrets_and_are_not_recorded(
    root: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)
    key = "sk-verysecret-0123456789"
    put(secrets, "intelforge_llm_api_key_127_0_0_1", key)
    async with ModelServer(lambda request: chat_reply(f"Your key is {key}.")) as server:
        async with Workspace.open(root, llm=f"{server.url}/v1#tiny", llm_record="said.jsonl") as workspace:
            model = await workspace._parts.model()
            assert model is not None
            await model.complete("What?", instructions="", purpose="chat")
            assert key not in f"{model!r} {workspace.settings()}"
        assert server.requests[0].headers["authorization"] == f"Bearer {key}"
    recorded = (root / "said.jsonl").read_text()
    assert key not in recorded
    assert "Your key is ***." in recorded


async def test_what_a_check_tells_of_a_model_is_what_was_measured(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = json_reply({"capabilities": ["completion", "tools", "vision"]})
    listed = json_reply({"data": [{"id": "tiny"}]})
    trial = Trial(skill=Skill.TOOL_CALL, passed=0, tries=2)
    profile = Profile(
        model="ollama:tiny", at=utc_now(), trials=(trial,), first_token_seconds=0.1, tokens_per_second=9.0
    )
    async with ModelServer(lambda request: shown if request.path == "/api/show" else listed) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        async with Workspace.open(root, llm="ollama:tiny") as workspace:
            (before,) = await workspace.check_models()
            await workspace._parts.lending.catalogue.keep(profile)
        async with Workspace.open(root, llm="ollama:tiny") as workspace:
            (after,) = await workspace.check_models()
            (look,) = [check for check in await workspace.doctor() if check.name == "language model"]
    assert (before.tools, before.images) == (True, True)
    assert (after.tools, after.images) == (False, True)
    assert look.ok


async def test_a_model_of_a_chain_without_its_key_is_told_by_check_and_doctor(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with Workspace.open(root, llm="openai:gpt-x, mock:Hello.") as workspace:
        keyless, mock = await workspace.check_models()
        (look,) = [check for check in await workspace.doctor() if check.name == "language model"]
        await workspace.sync()
        answer = await workspace.ask("How are carrots boiled?")
    assert (keyless.ok, mock.ok) == (False, True)
    assert look.detail == keyless.problem == "openai:gpt-x needs a key, and OPENAI_API_KEY is not set"
    assert "OPENAI_API_KEY" in look.fix
    assert f"left out: {keyless.problem}" in answer.notes


async def test_the_key_of_the_index_is_where_the_other_secrets_are(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "intelforge_index_key").write_text("hidden\n")
    with served(WeaviateDouble(key="hidden")) as address:
        index = address.replace("http://", "weaviate://")
        async with Workspace.open(
            root, embedder="none:", index=index, secrets=f"folder:{tmp_path}/secrets"
        ) as workspace:
            await workspace.sync()
            assert len((await workspace.search("carrots")).hits) == 1
        async with Workspace.open(root, embedder="none:", index=index) as workspace:
            with pytest.raises(StorageError, match="refuses the key"):
                await workspace.search("carrots")
