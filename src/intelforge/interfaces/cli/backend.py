"""What the command line uses of the workspace, loaded only when a command needs it.

This is the one lazy seam: the workspace brings a database, a search index and a model runtime with it, and neither
`--help` nor a mistyped option should wait for those.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from intelforge.core.model_reports import ModelInfo, ModelRecommendation, Preference
from intelforge.core.reports import Progress

if TYPE_CHECKING:
    from intelforge.workspace import Workspace


class PullModel(Protocol):
    """Fetches a model's weights, unless they are here already."""

    async def __call__(self, name: str, *, report: Callable[[Progress], None] | None = None) -> ModelInfo: ...


class RecommendModel(Protocol):
    """Says which local model fits this machine."""

    async def __call__(
        self, preference: Preference, *, memory_gb: float | None = None, context: int = 8192
    ) -> ModelRecommendation: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The functions behind the commands."""

    init: Callable[[Path], Path]
    open: "Callable[[Path | None], Workspace]"
    pull_model: PullModel
    list_models: Callable[[], list[ModelInfo]]
    recommend_model: RecommendModel
    find_workspace: Callable[[Path], Path]
    write_setting: Callable[[Path, str, str], None]


def load_backend() -> Backend:
    """The real one."""
    from intelforge.core.settings_file import find_workspace, write_setting
    from intelforge.local_models import list_models, pull_model, recommend_model
    from intelforge.workspace import Workspace

    return Backend(
        init=Workspace.init,
        open=Workspace.open,
        pull_model=pull_model,
        list_models=list_models,
        recommend_model=recommend_model,
        find_workspace=find_workspace,
        write_setting=write_setting,
    )
