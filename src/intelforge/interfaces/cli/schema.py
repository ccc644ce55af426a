"""What every command prints with `--json`: one document of the type named here.

The types inside are those of the workspace itself, so the command line, the API and the web say the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Self

from intelforge.core.cost_report import CostReport
from intelforge.core.costs import Budget, BudgetStatus
from intelforge.core.index_reports import (
    BuildReport,
    IndexStats,
    IndexVersion,
    Transfer,
    Tuning,
    Verification,
    VersionStatus,
)
from intelforge.core.model_reports import (
    BenchReport,
    ModelCard,
    ModelCheck,
    ModelInfo,
    ModelRecommendation,
    Profile,
    SimilarityCheck,
)
from intelforge.core.reports import Check, SettingValue, Shown, SourceStatus, Status, SyncReport
from intelforge.core.routing import Replay, RouterStatus
from intelforge.core.search import SearchResult
from intelforge.core.values import Answer, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDetail:
    """One error: what happened and how to mend it."""

    code: str
    """one word; it alone decides the exit code"""
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorOutput:
    """Printed instead of a command's own output when it fails."""

    error: ErrorDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOutput:
    """The new workspace."""

    path: str
    """absolute"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOutput:
    """The sources that now exist for the locations given, in their order."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesOutput:
    """Every source with its items by state."""

    sources: tuple[SourceStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOutput:
    """The source as it is now."""

    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveOutput:
    """The source that was removed, or would be."""

    source: SourceStatus
    removed: bool
    """false for a dry run"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutput(SearchResult):
    """Hits, best first, and what to know of them."""

    query: str
    """as it was given"""

    @classmethod
    def of(cls, query: str, result: SearchResult) -> Self:
        return cls(query=query, **{field.name: getattr(result, field.name) for field in fields(result)})


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOutput:
    """An answer. Without evidence `found` is false and `answer.passages` holds the nearest passages."""

    found: bool
    text: str
    """the sentences in one string"""
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOutput:
    """A document or a span of it."""

    text: str
    """the characters asked for: the span, or the whole text"""
    shown: Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsOutput:
    """Settings with their origins; secrets are shown as references only."""

    settings: tuple[SettingValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsOutput:
    """Embedding models that can run here."""

    models: tuple[ModelInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChecksOutput:
    """Language models that were looked at; `ok` is false when one of them cannot be used."""

    ok: bool
    checks: tuple[ModelCheck, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOutput:
    """Every check; `ok` is false when a required one failed."""

    ok: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOutput:
    """What the demonstration did and how long each part took, in seconds from the start of ingestion."""

    path: str
    """of the workspace it leaves behind"""
    questions: tuple[AskOutput, ...]
    searchable_seconds: float
    first_answer_seconds: float
    total_seconds: float
    documents: int
    chunks: int
    embedded: int
    citations: int
    citations_resolved: int
    """citations whose quote was found again, to the character, in the stored document"""
    complete: bool
    """false when the time budget ended before every chunk was embedded"""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexVersionsOutput:
    """Every version of the index, oldest first."""

    versions: tuple[VersionStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOutput:
    """The version that answers again."""

    version: IndexVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedVersion:
    """The version that was deleted, or would be."""

    version: IndexVersion
    dropped: bool
    """false for a dry run"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningOutput:
    """How the vectors are searched, and what was measured."""

    tuning: Tuning
    applied: bool
    """false for a dry run"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOutput:
    """Where it is served; printed when clients may connect."""

    url: str
    """with its `/v1`"""
    workspace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostOutput:
    """What calls cost."""

    report: CostReport
    csv: str
    """the file that the rows were written to; empty when none was named"""
    written: int
    """rows"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetsOutput:
    """Every budget and how far it is used."""

    budgets: tuple[BudgetStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetOutput:
    """The budget as it is now."""

    budget: Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedBudget:
    """The budget that was removed, or would be."""

    budget: Budget
    removed: bool
    """false for a dry run"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCardsOutput:
    """What is known of language models."""

    models: tuple[ModelCard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOutput:
    """What was done to the response cache."""

    forgotten: int
    """replies, or how many would be"""
    done: bool
    """false for a dry run"""


OUTPUTS: Mapping[str, type] = {
    "init": InitOutput,
    "add": AddOutput,
    "sources": SourcesOutput,
    "sources list": SourcesOutput,
    "sources set": SourceOutput,
    "sources remove": RemoveOutput,
    "sync": SyncReport,
    "status": Status,
    "search": SearchOutput,
    "ask": AskOutput,
    "show": ShowOutput,
    "config": SettingsOutput,
    "config show": SettingsOutput,
    "config set": SettingsOutput,
    "models": ModelsOutput,
    "models list": ModelsOutput,
    "models pull": ModelsOutput,
    "models facts": ModelCardsOutput,
    "models recommend": ModelRecommendation,
    "models probe": Profile,
    "models bench": BenchReport,
    "models similar": SimilarityCheck,
    "models forget": CacheOutput,
    "models check": ModelChecksOutput,
    "index": IndexVersionsOutput,
    "index versions": IndexVersionsOutput,
    "index stats": IndexStats,
    "index verify": Verification,
    "index tune": TuningOutput,
    "index rebuild": BuildReport,
    "index rollback": RollbackOutput,
    "index migrate": BuildReport,
    "index drop": DroppedVersion,
    "index export": Transfer,
    "index import": Transfer,
    "serve": ServeOutput,
    "cost": CostOutput,
    "budget": BudgetsOutput,
    "budget list": BudgetsOutput,
    "budget set": BudgetOutput,
    "budget remove": RemovedBudget,
    "router": RouterStatus,
    "router show": RouterStatus,
    "router freeze": RouterStatus,
    "router unfreeze": RouterStatus,
    "router export": RouterStatus,
    "router import": RouterStatus,
    "router rate": RouterStatus,
    "router replay": Replay,
    "doctor": DoctorOutput,
    "demo": DemoOutput,
}
"""The output type of every command, by its words."""


def plain(value: object) -> object:
    """A value of the workspace as JSON has it: objects, arrays, strings, numbers, booleans and null."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value
