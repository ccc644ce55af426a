"""The router: decides from what it has learned, and learns from what came of it. Knows nothing of providers.

`decide` and `observe` are quick and belong to one thread; `learn` takes seconds after thousands of judged replies and
may run in another: what was learned takes its place in one step at its end.
"""

import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from intelforge.core.errors import InvalidInputError
from intelforge.models.router import explain
from intelforge.models.router.experience import Experience, Remembered
from intelforge.models.router.policy import NONE, Exploration, Spending, drawn, propensities, valued
from intelforge.models.router.quality import HIGH, LOW, Judged, QualityModel
from intelforge.models.router.tracker import Alarm, Tracker
from intelforge.models.router.values import (
    TRUST,
    Candidate,
    Constraints,
    Decision,
    Judgement,
    Observation,
    Prediction,
    Preference,
    RequestFeatures,
)

KNOWN_AFTER: Final = 8.0
"""judged replies to like requests after which half of a prediction's confidence is there"""
LEARN_EVERY: Final = 10
LEARN_GROWTH: Final = 0.1
"""learning is due when this part, and at least LEARN_EVERY, is new since the last time"""
ANY: Final = Constraints()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a router behaves."""

    preference: Preference = field(default_factory=lambda: Preference.parse("balanced"))
    exploration: Exploration = field(default_factory=Exploration)
    remembered: int = 6000
    """requests"""
    half_life: float = 10_000.0
    """requests after which what was learned from one counts half"""
    seed: int | None = None
    """of the draws for exploration; by chance when None"""


class Router:
    """Chooses among candidates. They may be exchanged at any time: what was learned of others is kept."""

    def __init__(self, candidates: Sequence[Candidate], options: Options | None = None) -> None:
        self.options = options or Options()
        self.frozen = False
        self.experience = Experience(limit=self.options.remembered, half_life=self.options.half_life)
        self.trackers: dict[str, Tracker] = {}
        self.spending = Spending()
        self._random = random.Random(self.options.seed)  # noqa: S311  nothing secret is drawn
        self._new = 0
        self._candidates: dict[str, Candidate] = {}
        self._learned = QualityModel.of_priors(np.zeros(0, np.float32))
        self._columns: tuple[str, ...] = ()
        self.set_candidates(candidates)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(self._candidates.values())

    def set_candidates(self, candidates: Sequence[Candidate]) -> None:
        """Who can be chosen from now on. Raises InvalidInputError when a name comes twice."""
        found = {one.name: one for one in candidates}
        if len(found) < len(candidates):
            raise InvalidInputError("a candidate of the router is named twice", hint="name each model once")
        for name, one in found.items():
            if name in self.trackers:
                self.trackers[name].expected_latency = one.latency
            else:
                self.trackers[name] = Tracker(model=name, expected_latency=one.latency)
        self._candidates = found

    def decide(
        self,
        request: RequestFeatures,
        *,
        preference: Preference | None = None,
        constraints: Constraints = ANY,
        among: Collection[str] | None = None,
    ) -> Decision:
        """Whom the request goes to, of all candidates or those named. InvalidInputError when none can take it.

        One that is too long for all of them goes to those that read most: what does not fit is theirs to leave out.
        """
        preference = preference or self.options.preference
        candidates = [one for name, one in self._candidates.items() if among is None or name in among]
        expected = self._predicted(request, candidates)
        constraints = constraints.within_reach_of(candidates)
        refused = {one.name: refusal for one in candidates if (refusal := constraints.refusal(one))}
        able = valued([one for one in expected if one.model not in refused], preference)
        if not able:
            what = "; ".join(f"{name}: {why}" for name, why in refused.items()) or "there are none"
            raise InvalidInputError(
                f"no candidate of the router can take this request: {what}",
                hint="add a model that can, or ask for less",
            )
        chances = propensities(able, NONE if self.frozen else self.options.exploration, self.spending)
        name = drawn(chances, self._random.random()) if len(chances) > 1 else able[0].model
        able = [replace(one, propensity=chances.get(one.model, 0.0)) for one in able]
        chosen = next(one for one in able if one.model == name)
        explored = name != able[0].model
        if not self.frozen:
            self.spending += Spending.of(chosen, able[0])
        others = [replace(one, refused=refused[one.model]) for one in expected if one.model in refused]
        return Decision(
            model=name,
            ranking=(name, *(one.model for one in able if one.model != name)),
            predictions=(*able, *others),
            reason=explain.reason(chosen, able, preference=preference.name, explored=explored, refused=len(others)),
            preference=preference.name,
            explored=explored,
            propensity=chosen.propensity,
        )

    def predict(self, request: RequestFeatures) -> list[Prediction]:
        """What is expected of every candidate, in their order; without worth and propensity."""
        return self._predicted(request, self.candidates)

    def _predicted(self, request: RequestFeatures, candidates: Sequence[Candidate]) -> list[Prediction]:
        learned, columns = self._learned, self._columns
        qualities, support = learned.predict(request)
        at = {name: column for column, name in enumerate(columns)}
        found = []
        for one in candidates:
            tracker, column = self.trackers[one.name], at.get(one.name)
            quality = one.prior if column is None else float(qualities[column])
            known = 0.0 if column is None else float(support[column])
            found.append(
                Prediction(
                    model=one.name,
                    quality=min(max((quality + tracker.shift) * tracker.reliability, LOW), HIGH),
                    uncertainty=math.sqrt(learned.noise / (1.0 + known)),
                    confidence=known / (known + KNOWN_AFTER),
                    cost=one.cost(request.input_tokens, tracker.tokens(request.output_tokens)),
                    latency=tracker.latency,
                    worth=0.0,
                    propensity=0.0,
                )
            )
        return found

    def mean_quality(self, model: str) -> float:
        """Over all kinds of requests: what was learned, or the catalogue's word."""
        known = model in self._columns
        learned = self._learned.mean(self._columns.index(model)) if known else self._prior(model)
        tracker = self.trackers[model]
        return min(max((learned + tracker.shift) * tracker.reliability, LOW), HIGH)

    def observe(self, observation: Observation) -> list[Alarm]:
        """Takes in what came of a request; says which models are not any more what they were. Nothing when frozen.

        A model that is no candidate is learned of all the same.
        """
        if self.frozen:
            return []
        tracker = self.trackers.get(observation.model)
        if tracker is None:
            tracker = self.trackers[observation.model] = Tracker(model=observation.model, expected_latency=2.0)
        if observation.source is Judgement.RETRY or observation.latency is not None:
            self._end(observation)
        alarms = []
        if observation.latency is not None and (alarm := tracker.time(observation.latency)):
            alarms.append(alarm)
        if observation.output_tokens is not None:
            tracker.length(observation.output_tokens)
        trust = TRUST[observation.source]
        if observation.quality is not None and trust > 0:
            if alarm := tracker.judge(observation.quality, self._expected(observation), trust):
                alarms.append(alarm)
            self.experience.add(
                observation.features, observation.model, observation.quality, trust=trust, epoch=tracker.epoch
            )
            self._new += 1
        return alarms

    def _end(self, observation: Observation) -> None:
        for name, tracker in self.trackers.items():
            if name == observation.model:
                tracker.end(failed=observation.source is Judgement.RETRY)
            else:
                tracker.age()

    def study(self, observations: Iterable[Observation]) -> None:
        """Takes in judged replies of before, such as an evaluation's. They say nothing on what changed of late."""
        for one in observations:
            trust = TRUST[one.source]
            if one.model not in self.trackers:
                self.trackers[one.model] = Tracker(model=one.model, expected_latency=one.latency or 2.0)
            if one.quality is not None and trust > 0:
                epoch = self.trackers[one.model].epoch
                self.experience.add(one.features, one.model, one.quality, trust=trust, epoch=epoch)
                self._new += 1

    def measure(self, observations: Iterable[Observation]) -> None:
        """Takes in how long replies of before took, and how long they were."""
        for one in observations:
            tracker = self.trackers[one.model]
            if one.latency is not None:
                tracker.time(one.latency)
            if one.output_tokens is not None:
                tracker.length(one.output_tokens)

    @property
    def due(self) -> bool:
        """Enough is new for `learn` to be worth its time."""
        return not self.frozen and self._new >= max(LEARN_EVERY, LEARN_GROWTH * len(self.experience))

    @property
    def behind(self) -> bool:
        """Something was observed since it last learned."""
        return self._new > 0

    def learn(self) -> None:
        """Learns anew from all that is remembered."""
        self._new = 0
        names = tuple(dict.fromkeys((*self._candidates, *self.trackers)))
        judged = self._judged(names)
        self._learned, self._columns = QualityModel.fit(judged), names

    def freeze(self) -> None:
        """From now on nothing is learned and nothing is tried out; what was observed so far is learned before."""
        if self.behind:
            self.learn()
        self.frozen = True

    def unfreeze(self) -> None:
        """Learns and explores again."""
        self.frozen = False

    def replace(
        self,
        remembered: Iterable[Remembered],
        *,
        number: int,
        trackers: Mapping[str, Tracker],
        spending: Spending,
        frozen: bool,
    ) -> None:
        """Puts another router's experience in place of all that was learned, and learns from it."""
        self.experience = Experience(limit=self.options.remembered, half_life=self.options.half_life)
        self.experience.number = number
        for one in remembered:
            self.experience.restore(one)
        self.trackers, self.spending = dict(trackers), spending
        self.set_candidates(self.candidates)
        self.learn()
        self.frozen = frozen

    def _judged(self, names: Sequence[str]) -> Judged:
        return self.experience.judged(
            names, [self._prior(name) for name in names], {name: self.trackers[name].shifts for name in names}
        )

    def _expected(self, observation: Observation) -> float:
        if observation.model not in self._columns:
            base = self._prior(observation.model)
        else:
            base = float(self._learned.predict(observation.features)[0][self._columns.index(observation.model)])
        return base + self.trackers[observation.model].shift

    def _prior(self, model: str) -> float:
        candidate = self._candidates.get(model)
        return candidate.prior if candidate else 0.5
