import asyncio
import csv
import io
import os
import socket
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from defusedxml import ElementTree
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.chat import ChatRequest, ChatResponse, Done, StreamEvent, Text, TextDelta, Tokens
from intelforge.core.errors import InvalidInputError, ModelError, NotFoundError
from intelforge.interfaces.cli.model_files import as_csv, as_svg
from intelforge.models.benching.bench import Bench, Contestant, quantile
from intelforge.models.benching.prompts import PROMPTS, read_prompts
from intelforge.models.benching.server_memory import process_memory, server_memory
from intelforge.models.prompting import prompt_request
from intelforge.models.targets import read_target
from intelforge.testing.model_server import ModelServer, json_reply


@dataclass
class Timed:
    """A model that takes a second to begin and two to write; from then on it may fail."""

    name: str = "mock:timed"
    local: bool = True
    now: float = 0.0
    fails_after: int = 1 << 30
    asked: list[ChatRequest] = field(default_factory=list)

    async def respond(self, request: ChatRequest) -> ChatResponse:
        self.asked.append(request)
        if len(self.asked) > self.fails_after:
            raise ModelError("mock:timed is tired")
        self.now += 3.0
        tokens = Tokens(input=30, output=21)
        return ChatResponse(parts=(Text("word"),), model=self.name, tokens=tokens, cost_usd=0.5)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        began = self.now
        response = await self.respond(request)
        self.now = began + 1.0
        yield TextDelta("word")
        self.now = began + 3.0
        yield Done(response)

    async def complete(
        self,
        prompt: str,
        *,
        instructions: str,
        purpose: str,
        local_only: bool = False,
        principals: Sequence[str] = (),
    ) -> ChatResponse:
        return await self.respond(prompt_request(prompt, instructions=instructions, purpose=purpose))


async def memory() -> tuple[float | None, str]:
    return 4.5, "the process test"


def contestant(model: Timed, window: int | None = 510) -> Contestant:
    return Contestant(model=model, window=window, memory=memory)


async def test_streams_and_whole_replies_are_timed() -> None:
    model = Timed()
    told: list[tuple[str, int, int]] = []
    bench = Bench(prompts=["a", "b"], repeat=3, timer=lambda: model.now, told=lambda *progress: told.append(progress))
    (found,), calls = await bench.run([contestant(model)])
    assert (found.calls, found.failed, found.error) == (12, 0, "")
    assert (found.first_token_p50, found.total_p50, found.batch_total_p50) == (1.0, 3.0, 3.0)
    assert found.tokens_per_second_p50 == 10.0
    assert found.context_use_max == pytest.approx(0.1)
    assert (found.memory_gb, found.memory_of) == (4.5, "the process test")
    assert found.cost_usd == 6.0
    assert len(model.asked) == 13
    assert {call.prompt for call in calls} == {1, 2}
    assert {call.repeat for call in calls} == {1, 2, 3}
    assert sum(call.streamed for call in calls) == 6
    assert {request.accounting.purpose for request in model.asked} == {"bench"}
    assert told[0] == ("mock:timed", 0, 13)
    assert told[-1] == ("mock:timed", 12, 13)


async def test_a_model_that_cannot_be_asked_is_told_and_the_next_is_measured() -> None:
    dead, alive = Timed(name="mock:dead", fails_after=0), Timed(name="mock:alive")
    summaries, _ = await Bench(prompts=["a"], repeat=1).run([contestant(dead), contestant(alive)])
    assert [(one.model, one.failed) for one in summaries] == [("mock:dead", 1), ("mock:alive", 0)]
    assert summaries[0].error == "mock:timed is tired"
    assert summaries[0].first_token_p50 is None
    assert len(dead.asked) == 1


async def test_calls_that_fail_are_counted_and_not_timed() -> None:
    model = Timed(fails_after=3)
    (found,), calls = await Bench(prompts=["a"], repeat=2, timer=lambda: model.now).run([contestant(model, None)])
    assert (found.calls, found.failed) == (4, 2)
    assert found.total_p50 == 3.0
    assert found.context_use_max is None
    assert [bool(call.error) for call in calls] == [False, False, True, True]


async def test_what_was_measured_is_kept_when_it_is_stopped() -> None:
    model, stopping = Timed(), asyncio.Event()

    def told(_model: str, done: int, _total: int) -> None:
        if done == 5:
            stopping.set()

    bench = Bench(prompts=["a"], repeat=50, stopping=stopping, timer=lambda: model.now, told=told)
    (found,), calls = await bench.run([contestant(model), contestant(model)])
    assert found.calls == len(calls) == 5


async def test_a_call_that_stalls_is_cancelled_when_it_is_stopped() -> None:
    stopping, left = asyncio.Event(), asyncio.Event()

    class Stalled(Timed):
        async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
            try:
                yield TextDelta("word")
                stopping.set()
                await asyncio.Event().wait()
            finally:
                left.set()

    async with asyncio.timeout(5):
        assert await Bench(prompts=["a"], stopping=stopping).run([contestant(Stalled())]) == ([], [])
    assert left.is_set()


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_among_the_values(values: list[float], share: float) -> None:
    found = quantile(values, share)
    assert found is not None
    assert min(values) <= found <= max(values) * (1 + 1e-9)


def test_quantiles_lie_between_neighbours() -> None:
    assert quantile([], 0.5) is None
    assert quantile([1.0, 2.0], 0.5) == 1.5
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0


async def test_files_hold_every_call_and_every_model() -> None:
    odd = Timed(name="mock:<odd> & very long name of a model that does not fit")
    models = [contestant(Timed()), contestant(odd), contestant(Timed(name="mock:dead", fails_after=0))]
    summaries, calls = await Bench(prompts=["a"], repeat=1).run(models)
    rows = list(csv.DictReader(io.StringIO(as_csv(calls))))
    assert len(rows) == len(calls) == 5
    assert rows[0]["model"] == "mock:timed"
    assert rows[-1]["error"] == "mock:timed is tired"
    picture = ElementTree.fromstring(as_svg(summaries))
    words = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("failed") == 3
    assert sum("<odd> & very" in (word or "") for word in words) == 3


def test_prompts_are_read_from_lines(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text('What is a mutex?\n\n{"prompt": "And a\\nsemaphore?"}\n')
    assert read_prompts(file) == ("What is a mutex?", "And a\nsemaphore?")
    assert len(PROMPTS) >= 3


@pytest.mark.parametrize("text", ["", "{", '{"other": 1}'])
def test_a_file_without_prompts_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=r"prompts\.txt"):
        read_prompts(file)
    with pytest.raises(NotFoundError):
        read_prompts(tmp_path / "none")


def test_memory_is_that_of_the_process_which_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found, of = process_memory(server.getsockname()[1])
    assert found is not None
    assert found > 0.01
    assert of.startswith("the process ")
    assert os.getpid()


async def test_ollama_tells_the_memory_of_a_model() -> None:
    async with (
        ModelServer(lambda request: json_reply({"models": [{"name": "tiny:latest", "size": 2_500_000_000}]})) as server,
        httpx2.AsyncClient() as client,
    ):
        environment = {"OLLAMA_HOST": server.url}
        tiny = read_target("ollama:tiny", environment=environment)
        assert await server_memory(tiny, client) == (2.5, "the model as Ollama holds it")
        other, of = await server_memory(read_target("ollama:other", environment=environment), client)
        assert other is not None
        assert of.startswith("the process ")


async def test_a_hosted_model_has_no_memory_here() -> None:
    async with httpx2.AsyncClient() as client:
        target = read_target("openai:gpt-5", environment={"OPENAI_API_KEY": "k"})
        assert await server_memory(target, client) == (None, "")
