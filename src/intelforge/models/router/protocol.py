"""The contract of what keeps a router's calls, and what several processes that share a router learn from them.

Whatever changes what a router knows is an event with a number. Every process takes in all events in their order, so
that they know the same. A state is kept with the number of the last event in it, and only one that is further on takes
its place: whoever has not seen a freeze or an import cannot undo it, and what is not in a state yet is still an event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from intelforge.models.router.log import Routed
from intelforge.models.router.policy import NOTHING, Spending
from intelforge.models.router.values import Judgement, Observation, RequestFeatures

KEPT: Final = 10_000
"""calls, the last ones"""
EVENTS_KEPT: Final = 1000
"""that are in the kept state already: who is behind by more takes over the state"""
PAGE: Final = 500
"""events read at a time"""
AGAIN_SECONDS: Final = 120.0
"""within which the same question of the same asker says that its reply was of little use"""


class Kind(StrEnum):
    """What an event is."""

    OUTCOME = "outcome"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    IMPORT = "import"
    """a state was put in place of all that was learned"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of asking one model."""

    model: str = ""
    """empty for the one that was chosen"""
    quality: float | None = None
    """from 0 to 1; None when nobody said yet"""
    source: Judgement = Judgement.NONE
    cost: float | None = None
    """US dollars"""
    latency: float | None = None
    """seconds"""
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A call that has come to its end."""

    routed: Routed
    outcomes: tuple[Outcome, ...]
    """of each model that was asked, by name"""
    asked: str = ""
    """the same for the same question of the same asker; empty when nobody knows"""
    era: str = ""
    """of whoever decided: see `RouterService`"""
    spending: Spending = NOTHING
    """what it was expected to take when it was decided"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something to be taken in."""

    number: int
    kind: Kind
    outcome: Outcome = Outcome()
    request: RequestFeatures | None = None
    """None when there is none, or it is not on record any more"""
    era: str = ""
    spending: Spending = NOTHING

    @property
    def observation(self) -> Observation | None:
        if self.request is None:
            return None
        return Observation(
            features=self.request,
            model=self.outcome.model,
            quality=self.outcome.quality,
            latency=self.outcome.latency,
            output_tokens=self.outcome.output_tokens,
            source=self.outcome.source,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state, and the number of the last event that is in it."""

    state: bytes
    """empty before one was kept"""
    number: int


class RouterLog(Protocol):
    """Keeps routed calls, events and a state. The methods may be called from several processes."""

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Adds calls with their outcomes as events; a call of the same id takes the other's place.

        A question asked again soon counts, weakly, against the reply before. All of it is kept, or nothing. The oldest
        calls beyond KEPT are forgotten.
        """
        ...

    async def judge(self, call: str, quality: float, source: Judgement) -> None:
        """Says how good the reply of a recorded call was, as an event for the model that replied.

        Raises NotFoundError, InvalidInputError.
        """
        ...

    async def mark(self, kind: Kind) -> None:
        """Adds the event of a freeze or its end."""
        ...

    async def replace(self, state: bytes) -> None:
        """Puts a state in place of the one before, and adds the event of an import."""
        ...

    async def since(self, number: int) -> Sequence[Event] | None:
        """The next events after a number, at most PAGE; None when they are gone, and are in the kept state."""
        ...

    async def all(self) -> Sequence[Routed]:
        """The last KEPT calls, oldest first."""
        ...

    async def save(self, state: bytes, number: int) -> bool:
        """Keeps a state with all events up to a number in it; False when a state as far on is kept already."""
        ...

    async def load(self) -> Snapshot | None:
        """The state kept last; None before anything was put on record."""
        ...
