"""OpenAI's SDK for chat alone, made lighter: what it is given goes out as it is. Slow to import.

The SDK walks through each request by the types of its fields, to rename those whose names differ in Python. In chat
requests none do, and the walk is about a third of what a call takes in this process.
"""

import functools
from typing import Any

import httpx2
from openai import AsyncOpenAI, AsyncStream, NotGiven, Omit, not_given
from openai._base_client import make_request_options
from openai.resources.chat import AsyncChat, AsyncCompletions
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from intelforge.models.key_binding import NO_KEY


def open_sdk(base_url: str, client: httpx2.AsyncClient) -> AsyncOpenAI:
    """The SDK over a client, without a key and without retries.

    Told so with each request, it would copy itself and look up its platform in a thread each time.
    """
    return _ChatSdk(base_url=base_url, api_key=NO_KEY, http_client=client, max_retries=0)


class _ChatSdk(AsyncOpenAI):
    @functools.cached_property
    def chat(self) -> AsyncChat:
        return _Chat(self)


class _Chat(AsyncChat):
    @functools.cached_property
    def completions(self) -> AsyncCompletions:
        return _Completions(self._client)


class _Completions(AsyncCompletions):
    async def create(  # type: ignore[override]
        self,
        *,
        stream: bool = False,
        timeout: float | httpx2.Timeout | NotGiven | None = not_given,
        extra_headers: Any = None,
        extra_body: Any = None,
        **fields: Any,
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]:
        """See the SDK."""
        body = {name: value for name, value in fields.items() if not isinstance(value, Omit | NotGiven)}
        return await self._post(
            "/chat/completions",
            body={**body, "stream": stream},
            options=make_request_options(
                extra_headers=extra_headers,
                extra_body=extra_body,
                timeout=timeout,
                security={"bearer_auth": True},
            ),
            cast_to=ChatCompletion,
            stream=stream,
            stream_cls=AsyncStream[ChatCompletionChunk],
        )
