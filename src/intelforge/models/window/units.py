"""A conversation as units that are kept or left out whole: a tool call is never parted from its results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from intelforge.core.chat import Message, Role, ToolCall, ToolResult
from intelforge.models.window.counting import Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Turns that belong together, by their places in the conversation, oldest first."""

    places: tuple[int, ...]
    count: Count
    kept: bool
    """whatever happens: the system's words, what is pinned, the last question and what came last"""


def units_of(messages: Sequence[Message], counts: Sequence[Count]) -> list[Unit]:
    """The units, in the order of their first turn."""
    parents = _joined(messages)
    groups: dict[int, list[int]] = {}
    for place in range(len(messages)):
        groups.setdefault(_root(parents, place), []).append(place)
    kept = _essential(messages)
    return [
        Unit(
            places=tuple(places),
            count=sum((counts[place] for place in places[1:]), start=counts[places[0]]),
            kept=not kept.isdisjoint(places),
        )
        for places in groups.values()
    ]


def remaining(messages: Sequence[Message], units: Iterable[Unit]) -> tuple[Message, ...]:
    """The turns of these units, in their old order."""
    return tuple(messages[place] for place in sorted(place for unit in units for place in unit.places))


def _essential(messages: Sequence[Message]) -> set[int]:
    kept = {place for place, message in enumerate(messages) if message.pinned or message.role is Role.SYSTEM}
    asked = [place for place, message in enumerate(messages) if message.role is Role.USER]
    return kept | set(asked[-1:]) | ({len(messages) - 1} if messages else set())


def _joined(messages: Sequence[Message]) -> list[int]:
    """For each turn an earlier one that it belongs to: a result belongs to the latest call of its id before it."""
    parents = list(range(len(messages)))
    callers: dict[str, int] = {}
    for place, message in enumerate(messages):
        for part in message.parts:
            if isinstance(part, ToolCall):
                callers[part.id] = place
            elif isinstance(part, ToolResult) and part.id in callers:
                first, second = sorted((_root(parents, callers[part.id]), _root(parents, place)))
                parents[second] = first
    return parents


def _root(parents: list[int], place: int) -> int:
    while parents[place] != place:
        place = parents[place]
    return place
