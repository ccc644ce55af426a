"""OpenAI's client as pydantic-ai needs it, without the work that most of its time goes into.

The SDK copies itself, its options and every nested value of a request before it sends it, and builds its replies value
by value; pydantic-ai then checks them once more. Here a request is written as it is given and a reply is read once.
What goes wrong is raised in the SDK's own terms, which pydantic-ai understands. It never tries again: the gateway does.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import httpx2
from openai import APIConnectionError, APIError, APITimeoutError, AsyncOpenAI, NotGiven, Omit
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, ConfigDict, ValidationError

from intelforge.models.key_binding import NO_KEY
from intelforge.models.openai_form import Pieces, mended

PATH: Final = "chat/completions"
TOLD_TOTAL: Final = "told_total"
HEADERS: Final = {"accept": "application/json", "content-type": "application/json"}

Reply = TypeVar("Reply")


class DirectOpenAI(AsyncOpenAI):
    """Sends through a client that puts the key in on the way out."""

    def __init__(self, *, base_url: str, http_client: httpx2.AsyncClient) -> None:
        super().__init__(base_url=base_url, api_key=NO_KEY, http_client=http_client, max_retries=0)
        self.http = http_client
        place = httpx2.URL(base_url)  # which may have a query, as Azure's has
        self.address = str(place.copy_with(path=f"{place.path.rstrip('/')}/{PATH}"))

    def with_options(self, **options: Any) -> "DirectOpenAI":
        """Itself: the only option that pydantic-ai sets is how often to try again."""
        return self

    @cached_property
    def chat(self) -> Any:
        return SimpleNamespace(completions=_Completions(self))

    def _process_response_data(self, *, data: object, cast_to: type[Any], response: httpx2.Response) -> Any:
        """A piece of a stream, read in one step where it follows OpenAI's form."""
        if cast_to is ChatCompletionChunk:
            try:
                return _with_total(_KnownChunk.model_validate(data))
            except ValidationError:
                data = mended(data, form="chat.completion.chunk") if isinstance(data, Mapping) else data
        return _with_total(super()._process_response_data(data=data, cast_to=cast_to, response=response))

    async def post_body(
        self, body: bytes, headers: Mapping[str, str], timeout: Any, *, stream: bool
    ) -> httpx2.Response:
        """The response, its body not read yet when it is a stream. Raises the SDK's errors."""
        request = self.http.build_request("POST", self.address, content=body, headers=headers, timeout=timeout)
        try:
            response = await self.http.send(request, stream=stream)
            if response.status_code >= 300:
                await response.aread()
        except httpx2.TimeoutException as error:
            raise APITimeoutError(request=request) from error
        except httpx2.RequestError as error:
            raise APIConnectionError(request=request) from error
        if response.status_code >= 300:
            raise self._make_status_error_from_response(response) from None
        return response


class _Completions:
    """In place of the SDK's resource."""

    def __init__(self, client: DirectOpenAI) -> None:
        self._client = client

    async def create(
        self,
        *,
        stream: bool = False,
        timeout: Any = None,
        extra_headers: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **given: Any,
    ) -> Any:
        body = {name: value for name, value in given.items() if not isinstance(value, Omit | NotGiven)}
        body |= {"stream": True} if stream else {}
        body |= extra_body or {}
        headers = HEADERS | {name: value for name, value in (extra_headers or {}).items() if isinstance(value, str)}
        limit = self._client.http.timeout if isinstance(timeout, NotGiven) else timeout
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        response = await self._client.post_body(content, headers, limit, stream=stream)
        if stream:
            return Pieces(cast_to=ChatCompletionChunk, response=response, client=self._client)
        return _read(response)


class _Known(ChatCompletion):
    """Reads what follows OpenAI's form."""

    model_config = ConfigDict(title="ChatCompletion", extra="allow")


class _KnownChunk(ChatCompletionChunk):
    """A piece of a stream that follows OpenAI's form."""

    model_config = ConfigDict(title="ChatCompletionChunk", extra="allow")


def _with_total(reply: Reply) -> Reply:
    """The reply with its `total_tokens` under a name that pydantic-ai does not pass over."""
    usage = getattr(reply, "usage", None)
    if isinstance(usage, CompletionUsage):
        setattr(usage, TOLD_TOTAL, usage.total_tokens)
    return reply


def _read(response: httpx2.Response) -> ChatCompletion | str:
    """The reply; its text when it is none, which pydantic-ai refuses. Raises APIError for an error that came as one."""
    try:
        return _with_total(_Known.model_validate_json(response.content))
    except ValidationError:
        pass
    try:
        value = response.json()
    except ValueError:
        return response.text
    if not isinstance(value, dict):
        return response.text
    if value.get("error") and not value.get("choices"):
        raise APIError("the reply is an error", request=response.request, body=value["error"])
    return _with_total(_loose(mended(value, form="chat.completion")))


def _loose(value: dict[str, Any]) -> ChatCompletion:
    """What departs from the form, for pydantic-ai to judge."""
    base: type[BaseModel] = ChatCompletion
    found: ChatCompletion = base.construct(**value)  # type: ignore[assignment]
    return found
