from intelforge.core.chat import ChatRequest, Message, Role
from intelforge.models.window.counting import TokenCounter
from intelforge.models.window.fit import Strategy, Window, fit
from intelforge.models.window.summary import Summaries
from intelforge.testing.language_model import ScriptedModel


async def test_summaries_are_written_once_and_go_on_from_the_one_before() -> None:
    writer = ScriptedModel(["They counted.", "They counted on."])
    summaries = Summaries(writer)
    first, second = (Message.of(Role.USER, text) for text in ("one", "two"))
    assert await summaries([first], 50) == "They counted."
    assert await summaries([first], 50) == "They counted."
    assert len(writer.prompts) == 1
    assert await summaries([first, second], 50) == "They counted on."
    assert writer.prompts[1] == "summary so far: They counted.\n\nuser: two"
    assert writer.requests[1].max_tokens == 50


async def test_a_conversation_is_summarised_by_a_model() -> None:
    summaries = Summaries(ScriptedModel(["They counted."]))
    window = Window(model="openai:gpt-5", tokens=200, reply_tokens=20, strategy=Strategy.SUMMARISE, summarise=summaries)
    request = ChatRequest(messages=tuple(Message.of(Role.USER, "word " * 30) for _ in range(8)))
    fitted = await fit(request, window, TokenCounter("openai:gpt-5"))
    assert "a summary stands in their place" in fitted.notes
    assert "They counted." in fitted.request.messages[0].text


async def test_what_is_too_long_for_one_prompt_is_summarised_piece_by_piece() -> None:
    writer = ScriptedModel(["one.", "one, two.", "one, two, three."])
    long = Message.of(Role.USER, "word " * 4000)
    assert await Summaries(writer)([long, Message.of(Role.ASSISTANT, "Yes.")], 50) == "one, two, three."
    assert len(writer.prompts) == 3
    assert max(map(len, writer.prompts)) < 8100
    assert writer.prompts[2].startswith("summary so far: one, two.\n\n")
    assert writer.prompts[2].endswith("assistant: Yes.")
