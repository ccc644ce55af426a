"""Profiles as they are stored."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from intelforge.core.model_reports import Profile, Skill, Trial


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
