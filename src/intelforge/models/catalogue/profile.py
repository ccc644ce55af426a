"""What a probe measured of one model."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final


class Skill(StrEnum):
    """What is tried. The standard set; its version is `SET`."""

    SCHEMA = "follows a JSON schema"
    TOOL_CALL = "calls a tool with the right arguments"
    TOOL_RESULT = "uses what a tool gave"
    CITES = "cites passages by number"
    REFUSES = "says so when there is no evidence"
    CONTEXT = "finds a fact in a long prompt"


SET: Final = 1
"""version of the standard set: profiles of another are not compared"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One thing that was tried, some times."""

    skill: Skill
    tries: int
    passed: int
    detail: str = ""
    """why the first failure failed"""

    @property
    def able(self) -> bool:
        """Most tries passed."""
        return self.passed * 2 > self.tries


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What was measured of a model, and when."""

    model: str
    """`provider:name`"""
    at: datetime
    trials: tuple[Trial, ...]
    first_token_seconds: float
    """median"""
    tokens_per_second: float
    """median, while writing; 0.0 when replies were too short to tell"""
    context_usable: int | None = None
    """tokens of the longest prompt in which a fact was found; None when it was not tried"""
    context_lost: int | None = None
    """tokens of the shortest prompt in which it was not"""
    cost_usd: float | None = 0.0
    calls: int = 0
    version: int = SET

    def able(self, skill: Skill) -> bool | None:
        """Whether the model can; None when it was not tried."""
        return next((trial.able for trial in self.trials if trial.skill is skill), None)


def to_json(profile: Profile) -> dict[str, Any]:
    """As it is stored: all but model and time."""
    trials = [{"skill": one.skill.name, **_numbers(one)} for one in profile.trials]
    kept = {field.name: getattr(profile, field.name) for field in fields(profile)}
    return {**kept, "model": profile.model, "at": profile.at.isoformat(), "trials": trials}


def from_json(value: Mapping[str, Any]) -> Profile:
    """A profile as it was stored. Raises ValueError, KeyError or TypeError when it is none."""
    known = {field.name for field in fields(Profile)}
    trials = tuple(Trial(skill=Skill[one["skill"]], **_numbers(one)) for one in value["trials"])
    at = datetime.fromisoformat(value["at"])
    return Profile(**{name: value[name] for name in value if name in known} | {"at": at, "trials": trials})


def _numbers(trial: Trial | Mapping[str, Any]) -> dict[str, Any]:
    names = ("tries", "passed", "detail")
    return {name: trial[name] if isinstance(trial, Mapping) else getattr(trial, name) for name in names}
