"""What a provider means by rejecting a request: too long, the key, no such model, tools that its model lacks, a schema.

Read are the words of Ollama, OpenAI, Groq, OpenRouter, DeepSeek, Gemini, xAI, Mistral, Together, Perplexity, Anthropic,
vLLM and llama.cpp.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from intelforge.core.chat import ChatRequest
from intelforge.models.hiding import stands_in

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
_LENGTH: Final = re.compile(r"max_(?:completion_|output_|new_)?tokens|max_?output_?tokens|num_predict", re.IGNORECASE)
_UNREADABLE: Final = re.compile(r"n[o']t parse (?:the |your )?(?:JSON |request )?body", re.IGNORECASE)
_LONG_WORD: Final = re.compile(r"[\w*-]{20,}")
"""what may be a key, or a part of one, if there is a digit in it"""
_WORDING: Final = ("message", "error", "detail", "msg")
"""names under which an error has its words, or another object that has them"""
_LONGEST: Final = 300
"""characters of a reason"""
MOST_READ: Final = 20_000
"""characters of what a provider says: some repeat the request, and every word is looked at many times"""
_DEEPEST: Final = 8
"""objects within each other"""
_REPEATED: Final = "input"
"""the name under which FastAPI, and so vLLM and Mistral, gives back what it did not like"""
_KEY: Final = re.compile(
    r"api[ _-]?key[^.]{0,20}(?:not valid|invalid|incorrect|expired)|(?:invalid|incorrect|expired) api[ _-]?key",
    re.IGNORECASE,
)
_NO_MODEL: Final = re.compile(
    r"(?:invalid|unknown|no such)[ _]model|unable to access model"
    r"|models?\b[ :/]{0,3}(?:['\"`]?[\w./:@-]{1,200}['\"`]?)? {0,2}"
    r"(?:is |was |does |could )?not (?:be )?(?:exist|found)",
    re.IGNORECASE,
)
_FILTERED: Final = re.compile(
    r"content[ _](?:filter|policy|management policy)|violates[^.]{0,40}(?:guidelines|policy)", re.IGNORECASE
)
_PLACE: Final = re.compile(r"(?:tools|function_declarations)[.\[](\d+)")


def said_in(body: object) -> str:
    """All that an error says, to be looked at and not repeated, without what it repeats of the request itself."""
    return str(_without_input(body))[:MOST_READ]


def too_long(said: str) -> bool:
    """Whether the prompt is more than the model reads at once."""
    return _TOO_LONG.search(said) is not None


def key_meant(said: str) -> bool:
    """Whether the key is refused, which Gemini and xAI say by 400."""
    return _KEY.search(said) is not None


def model_meant(said: str) -> bool:
    """Whether there is no such model, which Mistral, DeepSeek, Together and Perplexity say by 400."""
    return _NO_MODEL.search(said) is not None


def filter_meant(said: str) -> bool:
    """Whether what was asked is against the provider's rules, which Azure says by 400 and xAI by 403."""
    return _FILTERED.search(said) is not None


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


def length_meant(said: str) -> bool:
    """Whether the provider complains of the length of reply that it was asked for."""
    return _LENGTH.search(said) is not None


def unreadable(said: str) -> bool:
    """Whether the provider could make nothing of what it was sent."""
    return _UNREADABLE.search(said) is not None


def reason(body: object, secrets: Collection[str]) -> str:
    """Why a request is rejected, in the provider's words on one line; empty when it does not say, or repeats a secret.

    Other long words with digits, which may be keys, are hidden. `body` is the error as JSON, or its text.
    """
    found = _words(body)
    if stands_in(found, secrets):
        return ""
    shown = "".join(character if character.isprintable() else " " for character in found[:MOST_READ])
    line = " ".join(_LONG_WORD.sub(_opaque, shown).split())
    return line[: _LONGEST - 1] + "…" if len(line) > _LONGEST else line.rstrip(".")


def _without_input(body: object, depth: int = 0) -> object:
    if depth > _DEEPEST:
        return ""
    if isinstance(body, list):
        return [_without_input(item, depth + 1) for item in body]
    if isinstance(body, Mapping):
        return {name: _without_input(item, depth + 1) for name, item in body.items() if name != _REPEATED}
    return body


def _opaque(word: re.Match[str]) -> str:
    return "***" if any(map(str.isdigit, word[0])) else word[0]


def _words(body: object, depth: int = 0) -> str:
    if isinstance(body, str):
        return "" if body.lstrip()[:1] in ("<", "{", "[") else body
    if depth > _DEEPEST:
        return ""
    if isinstance(body, list):
        return _words(body[0], depth + 1) if body else ""
    if not isinstance(body, Mapping):
        return ""
    return next((words for name in _WORDING if (words := _words(body.get(name), depth + 1))), "")


def _at_place(said: str, names: Sequence[str]) -> str:
    places = [int(number) for number in _PLACE.findall(said)]
    return names[places[-1]] if places and places[-1] < len(names) else ""
