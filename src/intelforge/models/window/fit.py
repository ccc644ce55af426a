"""Fits a request into a model's context window, and says what was left out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from intelforge.core.chat import ChatRequest, Message, Role
from intelforge.core.errors import ErrorCode, IntelForgeError, ModelError
from intelforge.models.window.counting import NOTHING, Count, TokenCounter, add, bytes_of
from intelforge.models.window.units import Unit, remaining, units_of

REPLY_TOKENS: Final = 1024
LEAST_REPLY: Final = 16
"""the part of the window that is kept free for a reply, whatever must stay of the prompt: one in so many"""
WARN_AT: Final = 0.8
SUMMARY_BEGINS: Final = "Summary of the earlier part of this conversation:\n"

Summarise = Callable[[Sequence[Message], int], Awaitable[str]]
"""Says in at most so many tokens what was said."""


class Strategy(StrEnum):
    """What is left out when a conversation is too long."""

    OLDEST_FIRST = "oldest-first"
    """as few of the oldest turns as will do"""
    SLIDING = "sliding"
    """all but the last `keep_last` turns, whether it is too long or not"""
    SUMMARISE = "summarise"
    """as oldest-first, with a summary in the place of what went"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A model's context window and how it is used."""

    model: str
    """`provider:name`"""
    tokens: int
    """of prompt and reply together"""
    strategy: Strategy = Strategy.OLDEST_FIRST
    keep_last: int = 20
    """turns, for `sliding`"""
    reply_tokens: int = REPLY_TOKENS
    """kept free for the reply when the request does not say how long it may be"""
    longest_reply: int = 0
    """what is asked for when the request does not say; 0 is not known"""
    warn_at: float = WARN_AT
    """share of the window from which on its use is told"""
    summarise: Summarise | None = field(default=None, repr=False)
    """for `summarise`; without it that is oldest-first"""

    def room(self, request: ChatRequest) -> int:
        """Tokens for the prompt. At least a quarter of the window is: a longer reply is the model's to cut."""
        return max(self.tokens - self._reply(request), self.tokens // 4)

    def most(self, request: ChatRequest) -> int:
        """Tokens for what must stay of the prompt: rather a shorter reply than none."""
        return max(self.room(request), self.tokens - min(self._reply(request), self.tokens // LEAST_REPLY))

    def _reply(self, request: ChatRequest) -> int:
        return self.reply_tokens if request.max_tokens is None else request.max_tokens

    def wanted(self, request: ChatRequest) -> int:
        """Tokens that the reply may take."""
        return self.longest_reply if request.max_tokens is None else request.max_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A request that fits."""

    request: ChatRequest
    count: Count | None
    """of its prompt; None when it is so short that nobody needed to count"""
    left_out: int = 0
    """turns"""
    notes: tuple[str, ...] = ()


async def fit(request: ChatRequest, window: Window, counter: TokenCounter) -> Fitted:
    """The request as it fits the window, with notes of what was left out and of a window that is nearly full.

    Raises ModelError (too_large) when not even what must be kept fits.
    """
    bound, room = bytes_of(request), window.room(request)
    sliding = window.strategy is Strategy.SLIDING and len(request.messages) > window.keep_last
    most = min(room, window.warn_at * window.tokens, window.tokens - window.wanted(request))
    if bound is not None and bound <= most and not sliding:
        return Fitted(request=request, count=None)
    frame, counts = await asyncio.to_thread(_counted, request, counter)
    units = units_of(request.messages, counts)
    kept = _chosen(units, frame, request, window)
    gone = [unit for unit in units if unit not in kept]
    if not gone:
        return _told(Fitted(request=request, count=add((frame, *counts))), window)
    fitted = Fitted(
        request=replace(request, messages=remaining(request.messages, kept)),
        count=add((frame, *(unit.count for unit in kept))),
        left_out=sum(len(unit.places) for unit in gone),
    )
    note = (
        f"{fitted.left_out} of {len(request.messages)} messages "
        f"(about {add(unit.count for unit in gone).tokens:,} tokens) were left out to fit {window.model} "
        f"with its window of {window.tokens:,} tokens ({window.strategy.value})"
    )
    fitted = replace(fitted, notes=(note,))
    if window.strategy is Strategy.SUMMARISE and window.summarise is not None:
        fitted = await _summarised(fitted, request.messages, gone, _Space(window, counter, room))
    return _told(fitted, window)


def _counted(request: ChatRequest, counter: TokenCounter) -> tuple[Count, list[Count]]:
    """Of what is beside the turns, and of each turn. A long conversation takes a while, so it is done off the loop."""
    return counter.frame(request), [counter.message(message) for message in request.messages]


def _chosen(units: Sequence[Unit], frame: Count, request: ChatRequest, window: Window) -> list[Unit]:
    """The units that stay: all that must, then the latest, without a gap, as long as there is room."""
    room, most = window.room(request), window.most(request)
    total = add((frame, *(unit.count for unit in units if unit.kept)))
    if total.at_most > most:
        raise _too_large(total, window, most)
    since = len(request.messages) - window.keep_last if window.strategy is Strategy.SLIDING else 0
    if window.strategy is Strategy.SUMMARISE and add((frame, *(unit.count for unit in units))).at_most > room:
        room -= max(0, min(room // 4, room - total.at_most))  # for the summary
    chosen, full = [], False
    for unit in reversed(units):
        if not unit.kept:
            full = full or unit.places[-1] < since or (total + unit.count).at_most > room
            if full:
                continue
            total += unit.count
        chosen.append(unit)
    return chosen[::-1]


@dataclass(frozen=True, slots=True)
class _Space:
    """What a summary has to fit into."""

    window: Window
    counter: TokenCounter
    room: int


async def _summarised(fitted: Fitted, messages: Sequence[Message], gone: Sequence[Unit], space: _Space) -> Fitted:
    """With a summary where the first of what went stood, when there is room and one can be had."""
    spare = space.room - (fitted.count or NOTHING).at_most - 2 * space.counter.family.message
    if space.window.summarise is None or spare < 32:
        return replace(fitted, notes=(*fitted.notes, "there was no room for a summary of them"))
    try:
        text = await space.window.summarise(remaining(messages, gone), spare // 2)
    except IntelForgeError as error:
        return replace(fitted, notes=(*fitted.notes, f"they could not be summarised: {error.message}"))
    message = Message.of(Role.USER, f"{SUMMARY_BEGINS}{text}")
    count = (fitted.count or NOTHING) + space.counter.message(message)
    if not text.strip() or count.at_most > space.room:
        return replace(fitted, notes=(*fitted.notes, "a summary of them was too long and is left out too"))
    first = min(place for unit in gone for place in unit.places)
    before = sum(1 for place in range(first) if all(place not in unit.places for unit in gone))
    turns = fitted.request.messages
    request = replace(fitted.request, messages=(*turns[:before], message, *turns[before:]))
    note = "a summary stands in their place"
    return replace(fitted, request=request, count=count, notes=(*fitted.notes, note))


def _told(fitted: Fitted, window: Window) -> Fitted:
    count = fitted.count or NOTHING
    fitted = _reply_within(fitted, window, count.at_most)
    share = count.tokens / window.tokens
    if share < window.warn_at:
        return fitted
    about = "" if not count.error else f", give or take {count.error:.0%}"
    used = f"{count.tokens:,} of {window.tokens:,} tokens{about}"
    note = f"the prompt takes {share:.0%} of the window of {window.model}: {used}"
    return replace(fitted, notes=(*fitted.notes, note))


def _reply_within(fitted: Fitted, window: Window, prompt: int) -> Fitted:
    """With a reply no longer than what the prompt leaves of the window; said when it was to be longer."""
    wanted, left = window.wanted(fitted.request), window.tokens - prompt
    if wanted <= left:
        return fitted
    note = f"the reply may take {left:,} tokens, not {wanted:,}: the window of {window.model} is {window.tokens:,}"
    asked = fitted.request.max_tokens is not None or left < window.reply_tokens
    notes = (*fitted.notes, note) if asked else fitted.notes
    return replace(fitted, request=replace(fitted.request, max_tokens=left), notes=notes)


def _too_large(needed: Count, window: Window, room: int) -> ModelError:
    about = "" if not needed.error else f" (an estimate, give or take {needed.error:.0%})"
    return ModelError(
        f"the prompt needs {needed.at_most:,} tokens{about}, and {window.model} has room for {room:,} "
        f"of its window of {window.tokens:,}, even with all that may be left out left out",
        hint="shorten the last message or what is pinned, or choose a model with a larger window",
        code=ErrorCode.TOO_LARGE,
    )
