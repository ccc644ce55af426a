"""The router of a workspace that returns what a test sets, for tests of the interfaces."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from intelforge.core.routing import Estimate, ModelStanding, PolicyValue, Replay, RouterStatus

if TYPE_CHECKING:
    from intelforge.routing import Routing
else:
    Routing = object  # the type checker holds the double to the real signatures; at run time it needs none of it

STATUS = RouterStatus(
    frozen=False,
    preference="balanced",
    exploration_share=0.03,
    exploration_cost_share=0.05,
    requests=120,
    spent=0.5,
    spent_exploring=0.01,
    models=(
        ModelStanding(
            model="ollama:qwen3:8b", candidate=True, local=True, prior=0.5, quality=0.61, shift=0.0, latency=2.4,
            input_price=0.0, output_price=0.0, calls=90, judged=80,
        ),
        ModelStanding(
            model="openai:gpt-5-mini", candidate=True, local=False, prior=0.6, quality=0.72, shift=-0.2, latency=1.1,
            input_price=0.25, output_price=2.0, calls=40, judged=40,
        ),
    ),
)  # fmt: skip
POLICY = PolicyValue(
    policy="cheap",
    ips=Estimate(value=0.6, low=0.5, high=0.7),
    normalised=Estimate(value=0.61, low=0.52, high=0.7),
    doubly_robust=Estimate(value=0.62, low=0.55, high=0.69),
    cost=Estimate(value=0.001, low=0.0009, high=0.0011),
    agreed=70,
    effective=60.0,
    shares={"ollama:qwen3:8b": 0.8, "openai:gpt-5-mini": 0.2},
)
REPLAY = Replay(
    calls=120,
    logged=Estimate(value=0.65, low=0.6, high=0.7),
    logged_cost=Estimate(value=0.002, low=0.0018, high=0.0022),
    policies=(
        POLICY,
        replace(POLICY, policy="always openai:gpt-5-mini", doubly_robust=Estimate(value=0.7, low=0.6, high=0.8)),
    ),
)


@dataclass
class FakeRouting(Routing):
    """Notes what it was asked."""

    found: RouterStatus = STATUS
    replayed: Replay = REPLAY
    calls: list[tuple[object, ...]] = field(default_factory=list)

    async def status(self) -> RouterStatus:
        return self.found

    async def freeze(self) -> RouterStatus:
        self.found = replace(self.found, frozen=True)
        return self.found

    async def unfreeze(self) -> RouterStatus:
        self.found = replace(self.found, frozen=False)
        return self.found

    async def export(self, path: Path) -> RouterStatus:
        self.calls.append(("export", path))
        return self.found

    async def load(self, path: Path, *, dry_run: bool = False) -> RouterStatus:
        self.calls.append(("load", path, dry_run))
        return self.found

    async def replay(self, path: Path | None = None, *, preferences: Sequence[str] = ()) -> Replay:
        self.calls.append(("replay", path, tuple(preferences)))
        return self.replayed

    async def rate(self, call: str, quality: float, *, evaluation: bool = False) -> RouterStatus:
        self.calls.append(("rate", call, quality, evaluation))
        return self.found
