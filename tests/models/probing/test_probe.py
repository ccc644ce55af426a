import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    Done,
    FinishReason,
    Part,
    StreamEvent,
    Text,
    TextDelta,
    Tokens,
    ToolCall,
)
from intelforge.core.errors import ErrorCode, ModelError
from intelforge.core.model_reports import Profile, Skill
from intelforge.models.probing.long_prompts import long_prompt, sizes
from intelforge.models.probing.probe import Probe, speed_of
from intelforge.models.probing.tasks import standard_set
from intelforge.models.prompting import prompt_request
from intelforge.models.window.counting import TokenCounter

AT = datetime(2026, 1, 31, tzinfo=UTC)


def able(request: ChatRequest) -> Part:
    """Does all that the set asks for."""
    asked = request.messages[-1].text
    if request.output_schema is not None:
        person = {"name": "Ines Duarte", "age": 41, "languages": ["Portuguese", "Dutch"]}
        ticket = {"priority": "high", "blocking": True, "hours": 2.5}
        return Text(f"```json\n{json.dumps(person if 'Ines' in asked else ticket)}\n```")
    if request.messages[-1].role == "tool":
        return Text("It is 17.3 degrees. Your reference is QX-5174.")
    if request.tools and "Lisbon" in asked:
        return ToolCall(id="1", name="get_weather", arguments='{"city": "lisbon", "unit": "celsius"}')
    if request.tools:
        table = {"restaurant": "Bellini", "people": 4, "time": "19:30"}
        return ToolCall(id="1", name="book_table", arguments=json.dumps(table))
    if "Tarn mill?" in asked:
        return Text("31 people work there [2].")
    if "Which pier" in asked or "which pier" in asked:
        return Text("They leave from the northern pier [3].")
    if "Passages:" in asked:
        return Text("No evidence found.")
    if "code of the northern gate is" in asked:
        return Text(asked.split("gate is ")[1][:4])
    return Text("one, two, three")


@dataclass
class Probed:
    """A model that does what a function says, one second for each token."""

    reply: Callable[[ChatRequest], Part] = able
    name: str = "openai:gpt-5"
    local: bool = False
    now: float = 0.0
    requests: list[ChatRequest] = field(default_factory=list)

    async def respond(self, request: ChatRequest) -> ChatResponse:
        self.requests.append(request)
        part = self.reply(request)
        finish = FinishReason.TOOL_CALLS if isinstance(part, ToolCall) else FinishReason.STOP
        return ChatResponse(
            parts=(part,), model=self.name, finish_reason=finish, tokens=Tokens(input=10, output=11), cost_usd=0.001
        )

    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        response = await self.respond(request)
        self.now += 0.5
        yield TextDelta(response.text)
        self.now += 2.0
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


async def probed(model: Probed, *, context: int = 4096) -> Profile:
    return await Probe(model=model, context=context, clock=lambda: AT, timer=lambda: model.now).run()


async def test_an_able_model_passes_everything() -> None:
    model = Probed()
    profile = await probed(model)
    assert {trial.skill: trial.passed for trial in profile.trials} == {
        Skill.SCHEMA: 2,
        Skill.TOOL_CALL: 2,
        Skill.TOOL_RESULT: 2,
        Skill.CITES: 2,
        Skill.REFUSES: 2,
        Skill.CONTEXT: 3,
    }
    assert all(trial.able and not trial.detail for trial in profile.trials)
    assert (profile.context_usable, profile.context_lost) == (4096, None)
    assert (profile.first_token_seconds, profile.tokens_per_second) == (0.5, 5.0)
    assert profile.at == AT
    assert profile.calls == len(model.requests) == 15
    assert profile.cost_usd == pytest.approx(0.015)
    assert {request.accounting.purpose for request in model.requests} == {"probe"}


async def test_a_model_that_only_talks_can_do_nothing_and_it_is_said_why() -> None:
    profile = await probed(Probed(lambda request: Text("Sure, I can help with that!")))
    assert not any(trial.passed for trial in profile.trials)
    details = {trial.skill: trial.detail for trial in profile.trials}
    assert "it is no JSON" in details[Skill.SCHEMA]
    assert "it made 0 calls" in details[Skill.TOOL_CALL]
    assert "it cites nothing" in details[Skill.CITES]
    assert profile.context_usable is None
    assert profile.context_lost == 1024


async def test_a_model_that_always_refuses_is_not_taken_for_one_that_knows_when_to() -> None:
    profile = await probed(Probed(lambda request: Text("No evidence found")))
    assert profile.able(Skill.REFUSES)
    assert not profile.able(Skill.CITES)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"city": "Porto", "unit": "celsius"}', "city is Porto"),
        ('{"city": "Lisbon"}', "unit"),
        ('{"city": "Lisbon", "unit": "kelvin"}', "unit"),
        ("{", "no JSON"),
        ("[]", "$"),
    ],
)
async def test_wrong_arguments_are_no_call(arguments: str, told: str) -> None:
    def wrong(request: ChatRequest) -> Part:
        calls = request.tools and request.messages[-1].role == "user"
        return ToolCall(id="1", name="get_weather", arguments=arguments) if calls else able(request)

    profile = await probed(Probed(wrong), context=0)
    trial = next(trial for trial in profile.trials if trial.skill is Skill.TOOL_CALL)
    assert trial.passed == 0
    assert told in trial.detail


async def test_a_provider_that_rejects_tools_is_a_failed_try_and_no_error() -> None:
    def rejects(request: ChatRequest) -> Part:
        if request.tools:
            raise ModelError("m:m takes no tools", hint="choose another")
        return able(request)

    profile = await probed(Probed(rejects), context=0)
    assert profile.able(Skill.TOOL_CALL) is False
    assert profile.able(Skill.SCHEMA) is True
    assert profile.able(Skill.CONTEXT) is None
    assert next(one for one in profile.trials if one.skill is Skill.TOOL_CALL).detail == "m:m takes no tools"


@pytest.mark.parametrize("code", [ErrorCode.UNREACHABLE, ErrorCode.REFUSED, ErrorCode.MISSING_MODEL])
async def test_a_model_that_cannot_be_asked_is_an_error(code: ErrorCode) -> None:
    def gone(request: ChatRequest) -> Part:
        if request.output_schema is not None:
            raise ModelError("gone", code=code)
        return able(request)

    with pytest.raises(ModelError, match="gone"):
        await probed(Probed(gone))


async def test_a_server_that_cuts_long_prompts_is_found_out() -> None:
    counter = TokenCounter("openai:gpt-5")

    def cut(request: ChatRequest) -> Part:
        return able(request) if counter.request(request).tokens < 3000 else Text("I do not know.")

    profile = await probed(Probed(cut), context=10_000)
    assert (profile.context_usable, profile.context_lost) == (2048, 4096)
    trial = next(trial for trial in profile.trials if trial.skill is Skill.CONTEXT)
    assert (trial.tries, trial.passed) == (3, 2)


async def test_a_price_nobody_knows_is_not_taken_for_nothing() -> None:
    model = Probed()
    inner = model.respond

    async def unpriced(request: ChatRequest) -> ChatResponse:
        from dataclasses import replace

        return replace(await inner(request), cost_usd=None)

    model.respond = unpriced  # type: ignore[method-assign]
    assert (await probed(model, context=0)).cost_usd is None


@pytest.mark.parametrize("tokens", [1024, 4096, 20_000])
def test_a_long_prompt_is_as_long_as_it_says_and_no_longer(tokens: int) -> None:
    counter = TokenCounter("openai:gpt-5")
    request = long_prompt(tokens, counter).request
    assert request.max_tokens is not None
    assert 0.85 * tokens < counter.request(request).tokens + request.max_tokens <= tokens


def test_sizes_double_up_to_the_most() -> None:
    assert sizes(5000) == [1024, 2048, 4096, 5000]
    assert sizes(500) == [500]


def test_the_set_has_two_tries_of_each_skill() -> None:
    skills = [task.skill for task in standard_set()]
    assert all(skills.count(skill) == 2 for skill in Skill if skill is not Skill.CONTEXT)


def test_too_little_to_tell_gives_no_speed() -> None:
    assert speed_of(1, 0.5, 0.5) == (0.5, 0.0)
    assert speed_of(11, 0.5, 2.5) == (0.5, 5.0)
