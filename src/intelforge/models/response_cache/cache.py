"""The cache of replies: exact by request, and by similarity where that is wanted. A hit costs nothing and says so."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from intelforge.core.chat import Attempt, ChatRequest, ChatResponse, Thinking, Timings, Tokens
from intelforge.core.errors import BudgetError, IntelForgeError
from intelforge.models.hiding import stands_in
from intelforge.models.response_cache.keys import Rules, frame_key, question_of, request_key
from intelforge.models.response_cache.protocol import Question, ReplyStore
from intelforge.models.response_cache.similar import Similar, Vector, best_match, vector_of
from intelforge.models.response_cache.stored import Kept, pack, unpack


@dataclass(slots=True)
class CacheCounts:
    """What a cache was asked for since it was opened."""

    hits: int = 0
    similar_hits: int = 0
    """of those, by similarity"""
    misses: int = 0
    refused: int = 0
    """requests that are not cached"""
    saved_usd: float = 0.0


class ResponseCache:
    """Replies by request and by whom it is for. Nothing here raises for want of the store: `trouble` tells it."""

    def __init__(
        self,
        store: ReplyStore,
        *,
        rules: Rules | None = None,
        similar: Similar | None = None,
        secrets: Callable[[], Collection[str]] = tuple,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """What one of the secrets stands in is not kept."""
        self.counts = CacheCounts()
        self._store = store
        self._rules = rules or Rules()
        self._similar = similar
        self._secrets = secrets
        self._clock = clock
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why the cache did nothing when it was last asked; empty when it worked."""
        return self._store.trouble or self._trouble

    async def find(self, request: ChatRequest, *, model: str) -> ChatResponse | None:
        """The reply kept for this request to this model, marked as cached and costing nothing."""
        if self._rules.refuses_request(request, model=model):
            self.counts.refused += 1
            return None
        began = time.perf_counter()
        kept, note = await self._kept(request_key(request, model=model)), ""
        if kept is None and self._similar is not None and not (self.trouble or request.local_only):
            kept, note = await self._found_similar(request, model, self._similar)
        if kept is None:
            self.counts.misses += 1
            return None
        self.counts.hits += 1
        self.counts.similar_hits += bool(note)
        self.counts.saved_usd += kept.cost_usd or 0.0
        return self._response(kept, note, seconds=time.perf_counter() - began)

    async def keep(
        self, request: ChatRequest, response: ChatResponse, *, model: str, notes: Sequence[str] = ()
    ) -> None:
        """Keeps a reply, and of its notes these, unless the rules are against it."""
        if self._rules.refuses_request(request, model=model) or self._rules.refuses_response(response):
            return
        if self._tells_a_secret(request, response):
            return
        key, frame = request_key(request, model=model), frame_key(request, model=model)
        question = None
        looked_up = frame is not None and not request.local_only  # the embedder may be elsewhere
        if self._similar is not None and looked_up and (text := question_of(request)):
            vector = await self._vector(self._similar, text)
            question = (
                Question(key=key, text=text, vector=vector.astype("<f4").tobytes()) if vector is not None else None
            )
        await self._store.put(
            key, pack(replace(response, notes=tuple(notes)), at=self._clock()), question=question, frame=frame or b""
        )

    async def clear(self) -> int:
        """Forgets all replies, of everyone; how many there were."""
        return await self._store.clear()

    async def count(self) -> int:
        """How many replies are kept, of everyone."""
        return await self._store.count()

    async def close(self) -> None:
        await self._store.close()

    def _tells_a_secret(self, request: ChatRequest, response: ChatResponse) -> bool:
        """Whether one stands in the reply, its notes, or the question that others are held against."""
        thoughts = "".join(part.text for part in response.parts if isinstance(part, Thinking))
        secrets = self._secrets()
        written = (response.text, thoughts, *response.notes, question_of(request) or "")
        return any(stands_in(text, secrets) for text in written)

    async def _kept(self, key: bytes) -> Kept | None:
        return unpack(await self._store.get(key))

    async def _found_similar(self, request: ChatRequest, model: str, similar: Similar) -> tuple[Kept | None, str]:
        frame, text = frame_key(request, model=model), question_of(request)
        if frame is None or text is None:
            return None, ""
        questions = await self._store.questions(frame)
        if not questions:
            return None, ""
        vector = await self._vector(similar, text)
        match = None if vector is None else best_match(text, vector, questions, threshold=similar.threshold)
        if match is None or (kept := await self._kept(match.key)) is None:
            return None, ""
        measured = await similar.false_hits()
        rate = "not measured here" if measured is None else f"measured at {measured:.2%}"
        note = f"it answers a similar question ({match.similarity:.3f}): {match.text}; share of wrong ones {rate}"
        return kept, note

    async def _vector(self, similar: Similar, text: str) -> Vector | None:
        """The question's vector; None when it cannot be had, which `trouble` then tells."""
        try:
            vector = await vector_of(similar, text)
        except BudgetError:  # the caller's own, and no trouble of others
            return None
        except IntelForgeError as error:
            self._trouble = f"similar questions cannot be looked up: {error.message}"
            return None
        self._trouble = ""
        return vector

    def _response(self, kept: Kept, note: str, *, seconds: float) -> ChatResponse:
        age = max(0.0, self._clock() - kept.at)
        saved = f", which saves {kept.cost_usd:.6f} US dollars" if kept.cost_usd else ""
        said = f"the reply comes from the cache, where it is since {_ago(age)}{saved}"
        return ChatResponse(
            parts=kept.parts,
            model=kept.model,
            finish_reason=kept.finish_reason,
            tokens=Tokens(),
            cost_usd=0.0,
            timings=Timings(first_token=seconds, total=seconds),
            attempts=(Attempt(model=kept.model, seconds=seconds, cost_usd=0.0),),
            cached=True,
            notes=(said, *([note] if note else ()), *kept.notes),
        )


def _ago(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
