"""The language model behind `mock:` URLs: a real pydantic-ai model with scripted replies, no network, no cost."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel

DEFAULT_REPLY = "The first passage answers this [1]."


def scripted(reply: Callable[[str], str]) -> Model[Any]:
    """A pydantic-ai model whose reply is made from the last prompt."""

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        prompt = "\n".join(str(part.content) for part in messages[-1].parts if part.part_kind == "user-prompt")
        return ModelResponse(parts=[TextPart(content=reply(prompt))])

    return FunctionModel(respond, model_name="scripted")


def open_model(url: str) -> Model[Any]:
    """`mock:` replies with a sentence that cites the first passage, `mock:TEXT` with the URL-decoded text."""
    text = unquote(url.partition(":")[2]) or DEFAULT_REPLY
    return scripted(lambda prompt: text)
