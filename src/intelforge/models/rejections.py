"""What a provider means by rejecting a request: too long, tools that its model has not, or a schema that is wrong.

Read are the words of Ollama, OpenAI, Groq, OpenRouter, DeepSeek, Gemini, Anthropic, vLLM and llama.cpp; none are
repeated.
"""

import re
from collections.abc import Sequence
from typing import Final

from intelforge.core.chat import ChatRequest

_NOT: Final = r"(?:n[o']t (?:currently |yet )?(?:be )?(?:support|available|enabled)|unsupported|unavailable)"
_ABILITIES: Final = {
    "tools": r"(?:\btools?\b(?! ?choice)|tool[ _-]?(?:use|call)|function[ _-]?call)",
    "json_schema": r"(?:response[ _-]?format|json[ _-]?schema|structured[ _-]?output)",
}
_LACKS: Final = {
    name: re.compile(rf"{_NOT}[^.]{{0,60}}{words}|{words}[^.]{{0,60}}{_NOT}", re.IGNORECASE)
    for name, words in _ABILITIES.items()
}
_NO_TOOLS: Final = re.compile(
    r"requires --(?:enable-auto-tool-choice|jinja)|no endpoints found that support tool", re.IGNORECASE
)
_ABOUT_ONE: Final = re.compile(
    r"invalid[ _]schema|input_schema|parameters|propert|keyword|\$ref|additional", re.IGNORECASE
)
"""words about a single schema: another may do"""
_TOO_LONG: Final = re.compile(
    r"(exceed|larger|longer|greater|maximum|more)[^.]{0,60}context|context[^.]{0,40}(exceed|overflow)"
    r"|(prompt|input)[^.]{0,20}too (long|large)",
    re.IGNORECASE,
)
_PLACE: Final = re.compile(r"(?:tools|function_declarations)[.\[](\d+)")


def too_long(said: str) -> bool:
    """Whether the prompt is more than the model reads at once."""
    return _TOO_LONG.search(said) is not None


def lacking(said: str, asked: ChatRequest) -> frozenset[str]:
    """What of that was asked the model cannot do at all, by the provider's own words: `tools`, `json_schema`."""
    if _ABOUT_ONE.search(said):
        return frozenset()
    wanted = {"tools": bool(asked.tools), "json_schema": asked.output_schema is not None}
    found = {name for name, pattern in _LACKS.items() if pattern.search(said)}
    found |= {"tools"} if _NO_TOOLS.search(said) else set()
    return frozenset(name for name in found if wanted[name])


def tool_meant(said: str, asked: ChatRequest) -> str:
    """The name of the tool that the provider complains of; empty when it does not say."""
    names = [tool.name for tool in asked.tools]
    named = [name for name in names if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", said)]
    return max(named, key=len) if named else _at_place(said, names)


def schema_meant(said: str, asked: ChatRequest) -> bool:
    """Whether the provider complains of the schema that the reply is to follow."""
    return asked.output_schema is not None and re.search(_ABILITIES["json_schema"], said, re.IGNORECASE) is not None


def _at_place(said: str, names: Sequence[str]) -> str:
    places = [int(number) for number in _PLACE.findall(said)]
    return names[places[-1]] if places and places[-1] < len(names) else ""
