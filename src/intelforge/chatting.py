"""What is offered of the models to programs: those of the settings by name, to chat with and to embed with."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from intelforge.core.accounting import on_behalf_of
from intelforge.core.chat import Accounting, ChatRequest, ChatResponse, Embedded, ModelName, StreamEvent
from intelforge.core.errors import ErrorCode, InvalidInputError, ModelError, NotFoundError
from intelforge.core.model_reports import ModelCheck
from intelforge.core.registry import scheme_of
from intelforge.models.targets import ROUTER, SCRIPTED, split_chain
from intelforge.parts import Parts
from intelforge.refine.tokens import token_counter

if TYPE_CHECKING:
    from intelforge.models.protocol import LanguageModel

AUTO: Final = "auto"
"""the name of what the setting `llm` says"""
EMBEDDER: Final = "embedder"
"""the name of what the setting `embedder` says"""
COUNTED_AT_ONCE: Final = 2_000
"""characters whose tokens are counted sooner than a thread is woken"""


class Chatting:
    """The models of one workspace. Each method raises NotFoundError for one that the settings do not name."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._counters: dict[Path | None, Callable[[str], int]] = {}

    async def models(self) -> list[ModelName]:
        """What may be asked for."""
        chats = [ModelName(name=name, provider=_provider(url)) for name, url in self._named().items()]
        embedder = self._parts.settings.embedder
        return [*chats, ModelName(name=EMBEDDER, provider=_provider(embedder), kind="embedding")]

    async def unwell(self) -> list[ModelCheck]:
        """What was found of those that cannot be asked as things are; scripted ones, which it would ask, left out."""
        urls = [url.strip().removeprefix(ROUTER) for url in self._named().values()]
        each = dict.fromkeys(part for url in urls for part in split_chain(url) if not part.startswith(f"{SCRIPTED}:"))
        return [check for check in await self._parts.check_models(*each) if not check.ok]

    async def chat(self, request: ChatRequest, *, model: str) -> ChatResponse:
        """The whole reply. Raises ModelError, EgressError, and what the ledger raises when a budget is spent."""
        return await (await self._model(model)).respond(request)

    async def chat_stream(self, request: ChatRequest, *, model: str) -> AsyncGenerator[StreamEvent, None]:
        """The reply as it comes, `Done` at its end. Raises as `chat` does, also after a part of the reply."""
        async with aclosing((await self._model(model)).stream(request)) as events:
            async for event in events:
                yield event

    async def embed(
        self, texts: Sequence[str], *, model: str, accounting: Accounting, local_only: bool = False
    ) -> Embedded:
        """Vectors of the embedder that the index uses, out of the same cache.

        Raises ModelError, EgressError, and what the ledger raises when a budget is spent.
        """
        embedder = await asyncio.to_thread(self._parts.search_models.embedder)
        if embedder is None:
            raise self._parts.search_models.embedder_error or ModelError(
                "the workspace has no embedder", hint="set one: intelforge config set embedder onnx:all-MiniLM-L6-v2"
            )
        if model not in (EMBEDDER, embedder.name, self._parts.settings.embedder):
            raise _unknown(model, [EMBEDDER])
        if local_only and not embedder.local:
            raise ModelError(
                f"{embedder.name} is not on this machine, and the request may not leave it",
                hint="name a local model in the setting embedder, for example onnx:all-MiniLM-L6-v2",
                code=ErrorCode.REFUSED,
            )
        if blank := [place for place, text in enumerate(texts) if not text.strip()]:
            raise InvalidInputError(f"text {blank[0]} is empty", hint="leave it out")
        with on_behalf_of(accounting):
            vectors = await embedder.embed(texts)
        if embedder.tokenizer in self._counters and sum(map(len, texts)) <= COUNTED_AT_ONCE:
            tokens = self._counted(embedder.tokenizer, texts)
        else:
            tokens = await asyncio.to_thread(self._counted, embedder.tokenizer, texts)
        return Embedded(vectors=vectors, model=embedder.name, tokens=tokens)

    def secret(self, name: str) -> str:
        """The secret of this name, empty when there is none. Raises ConfigError when it cannot be read."""
        return self._parts.secrets.get(name, "")

    def _counted(self, tokenizer: Path | None, texts: Sequence[str]) -> int:
        if tokenizer not in self._counters:
            self._counters[tokenizer] = token_counter(tokenizer)
        return sum(map(self._counters[tokenizer], texts))

    def _named(self) -> Mapping[str, str]:
        """URLs by the names under which they are asked for."""
        settings = self._parts.settings
        return {AUTO: settings.llm} | {url: url for url in settings.llm_models}

    async def _model(self, name: str) -> "LanguageModel":
        named = self._named()
        if name not in named:
            raise _unknown(name, list(named))
        model = await self._parts.language_model(named[name])
        if model is None:
            raise ModelError(
                "no language model is set, and no Ollama with a model runs here",
                hint="run: intelforge config set llm ollama:NAME",
                code=ErrorCode.MISSING_MODEL,
            )
        return model


def _provider(url: str) -> str:
    return AUTO if url == AUTO else scheme_of(url)


def _unknown(name: str, known: Sequence[str]) -> NotFoundError:
    return NotFoundError(
        f"there is no model {name!r}", hint=f"ask for {', '.join(known)}, or add it to the setting llm_models"
    )
