"""OpenAI's requests as they come in, checked.

Settings that would change the reply and that no model here can follow are refused by name; those that only ask for less
or inform OpenAI (`store`, `service_tier`, …) are passed over.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from intelforge.core.chat import Accounting

MOST_TEXTS: Final = 2048
"""that are embedded at once"""


class Wire(BaseModel):
    """What is not named is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class TextPart(Wire):
    type: Literal["text", "input_text"]
    text: str


class ImageUrl(Wire):
    url: str


class ImagePart(Wire):
    type: Literal["image_url"]
    image_url: ImageUrl


class RefusalPart(Wire):
    type: Literal["refusal"]
    refusal: str


ContentPart = Annotated[TextPart | ImagePart | RefusalPart, Field(discriminator="type")]


class Function(Wire):
    name: str
    arguments: str = ""


class Call(Wire):
    id: str
    type: Literal["function"] = "function"
    function: Function


class WireMessage(Wire):
    """One turn. A turn of a tool needs the id of the call it answers."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _answers_a_call(self) -> "WireMessage":
        if self.role == "tool" and not self.tool_call_id:
            raise ValueError("a message of role 'tool' needs tool_call_id")
        if self.role != "assistant" and self.content is None:
            raise ValueError(f"a message of role {self.role!r} needs content")
        return self


class FunctionDefinition(Wire):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})


class WireTool(Wire):
    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(Wire):
    name: str


class NamedTool(Wire):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Wire):
    name: str
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(Wire):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> "ResponseFormat":
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("response_format of type 'json_schema' needs json_schema")
        return self


class StreamOptions(Wire):
    include_usage: bool = False


class Metadata(Wire):
    """OpenAI's `metadata`, whose other names are the client's own."""

    team: str = ""
    run: str = ""
    local_only: bool = False
    """may only go to a model on this machine"""


class Accounted(Wire):
    """What says whom it is for, and whether it may leave this machine."""

    user: str | None = None
    metadata: Metadata | None = None

    @property
    def local_only(self) -> bool:
        return self.metadata is not None and self.metadata.local_only

    def accounting(self, purpose: str, *, user: str = "") -> Accounting:
        """For the user that the server knows, else the one that it names."""
        named = self.metadata or Metadata()
        return Accounting(user=user or self.user or "", team=named.team, run=named.run, purpose=purpose)


class ChatBody(Accounted):
    """The body of `/v1/chat/completions`."""

    model: str
    messages: Annotated[list[WireMessage], Field(min_length=1)]
    tools: list[WireTool] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    function_call: Literal["none"] | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None


class EmbeddingsBody(Accounted):
    """The body of `/v1/embeddings`."""

    model: str
    input: str | Annotated[list[str], Field(min_length=1, max_length=MOST_TEXTS)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None

    @field_validator("input", mode="before")
    @classmethod
    def _is_text(cls, given: object) -> object:
        """Tokens are numbers of an encoding that a request does not name: they cannot be made text again."""
        if isinstance(given, list) and any(isinstance(each, int | list) for each in given):
            raise ValueError("tokens are not taken; send texts (in LangChain: check_embedding_ctx_length=False)")
        if isinstance(given, list) and not 1 <= len(given) <= MOST_TEXTS:
            raise ValueError(f"these are {len(given):,} texts; send 1 to {MOST_TEXTS:,} at once")
        return given
