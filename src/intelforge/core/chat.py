"""The values of a conversation with a language model: what is asked, what comes back, and what comes on the way.

They are of no provider: `pydantic_messages` makes them into what SDKs take, and the API into OpenAI's form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FinishReason(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    REFUSED = "refused"
    """the provider's filter took it"""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Text:
    """Words said."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model wrote for itself before it answered."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture: its bytes. The gateway fetches none: a caller that has a URL reads it through egress."""

    data: bytes = field(repr=False)
    media_type: str
    """for example `image/png`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model's wish to call a tool."""

    id: str
    name: str
    arguments: str
    """JSON as the model wrote it, which need not be valid"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool gave back."""

    id: str
    """of the call"""
    name: str
    content: str


Part = Text | Thinking | Image | ToolCall | ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn."""

    role: Role
    parts: tuple[Part, ...]
    pinned: bool = False
    """never left out to fit the context window"""

    @classmethod
    def of(cls, role: Role, text: str, *, pinned: bool = False) -> "Message":
        """A turn of one text."""
        return cls(role=role, parts=(Text(text),), pinned=pinned)

    @property
    def text(self) -> str:
        """Its words, without thinking and tools."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def has_image(self) -> bool:
        return any(isinstance(part, Image) for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that a model may call."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of an object"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """Whom a call is for: budgets and cost reports go by these. Empty is nobody in particular."""

    user: str = ""
    team: str = ""
    run: str = ""
    """of an agent"""
    purpose: str = "chat"
    """one word: `answer`, `judge`, `probe`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What is asked of a language model."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or the name of a tool"""
    output_schema: Mapping[str, Any] | None = None
    """JSON schema that the reply's text must follow"""
    max_tokens: int | None = None
    """of the reply; the gateway's default when None"""
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    accounting: Accounting = Accounting()
    principals: tuple[str, ...] = ()
    """the access list of whoever asks: a kept reply is given to no other"""
    local_only: bool = False
    """may only go to a model on this machine"""
    timeout: float | None = None
    """seconds for the whole of it, all attempts included; the gateway's default when None"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Counts by kind. `input` includes what was read from or written to the provider's cache, `output` the thinking."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    thinking: int = 0
    estimated: bool = False
    """the provider did not tell them, or told what cannot be"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """In seconds since the request was given to the gateway."""

    first_token: float = 0.0
    """equal to `total` where the reply did not come in parts"""
    total: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try with one model."""

    model: str
    seconds: float
    error: str = ""
    """one line; empty when it gave the reply"""
    fault: bool = False
    """the model's own, not that of the request, the key or the budget"""
    cost_usd: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResponse:
    """What a model replied and what it took."""

    parts: tuple[Part, ...]
    model: str
    """`provider:name`"""
    finish_reason: FinishReason = FinishReason.STOP
    tokens: Tokens = Tokens()
    cost_usd: float | None = 0.0
    """US dollars of all attempts; 0.0 for local models and cached replies, None when a price is not known"""
    timings: Timings = Timings()
    attempts: tuple[Attempt, ...] = ()
    cached: bool = False
    """taken from the response cache"""
    notes: tuple[str, ...] = ()
    """what the caller should know: messages left out to fit, a fallback taken"""
    decision: Mapping[str, Any] | None = None
    """why the router chose this model"""

    @property
    def text(self) -> str:
        """Its words, without thinking and tools."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A piece of the thinking."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of a tool call's arguments. `id` and `name` come with the first piece; `index` tells calls apart."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a stream, with the whole reply."""

    response: ChatResponse


StreamEvent = TextDelta | ThinkingDelta | ToolCallDelta | Done


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Texts as vectors."""

    vectors: "NDArray[np.float32]"
    """shape (texts, dimensions)"""
    model: str
    tokens: int
    """read; estimated where the embedder does not count"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """A model that is offered, by the name under which it is asked for."""

    name: str
    provider: str
    kind: str = "chat"
    """or `embedding`"""

    def as_openai(self) -> dict[str, object]:
        return {"id": self.name, "object": "model", "created": 0, "owned_by": self.provider, "kind": self.kind}
