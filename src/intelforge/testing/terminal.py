"""The real command line over a workspace that returns what a test sets."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intelforge.core.errors import IntelForgeError, NotFoundError
from intelforge.core.model_reports import FittingModel, ModelInfo, ModelRecommendation, Preference
from intelforge.core.reports import Progress, Stage
from intelforge.interfaces.cli.backend import Backend
from intelforge.interfaces.cli.main import run
from intelforge.testing.modelling import fitting, recommendation
from intelforge.testing.workspace import FakeWorkspace

if TYPE_CHECKING:
    from intelforge.workspace import Workspace

MODEL = ModelInfo(name="all-MiniLM-L6-v2", dimensions=384, max_tokens=256, present=False, licence="Apache-2.0")


@dataclass
class Terminal:
    """Runs command lines against the fake and keeps what they printed."""

    workspace: FakeWorkspace
    capture: Callable[[], tuple[str, str]]
    """what was printed since the last call: standard output, standard error"""
    pull_error: IntelForgeError | None = None
    model_present: bool = False
    recommended: FittingModel | None = field(default_factory=lambda: fitting("qwen3:8b"))
    asked: list[tuple[Preference, float | None, int]] = field(default_factory=list)
    """of the recommendation"""
    written: list[tuple[Path, str, str]] = field(default_factory=list)
    out: str = ""
    err: str = ""

    def run(self, *arguments: str) -> int:
        code = run(arguments, self._backend)
        self.out, self.err = self.capture()
        return code

    def json(self, *arguments: str) -> Any:
        self.run(*arguments, "--json")
        return json.loads(self.out)

    def _open(self, folder: Path | None) -> "Workspace":
        self.workspace.opened.append(folder)
        return self.workspace

    def _init(self, folder: Path) -> Path:
        return folder.absolute()

    def _backend(self) -> Backend:
        return Backend(
            init=self._init,
            open=self._open,
            pull_model=self._pull,
            list_models=lambda: [replace(MODEL, present=self.model_present)],
            recommend_model=self._recommend,
            find_workspace=self._find,
            write_setting=lambda folder, name, value: self.written.append((folder, name, value)),
        )

    async def _pull(self, name: str, *, report: Callable[[Progress], None] | None = None) -> ModelInfo:
        if self.pull_error is not None:
            raise self.pull_error
        if report:
            report(Progress(stage=Stage.LISTING, done=5_000_000, total=90_000_000, unit="bytes"))
        return replace(MODEL, name=name, present=True, size_bytes=90_000_000)

    async def _recommend(
        self, preference: Preference, *, memory_gb: float | None = None, context: int = 8192
    ) -> ModelRecommendation:
        self.asked.append((preference, memory_gb, context))
        return recommendation(preference, chosen=self.recommended)

    def _find(self, start: Path) -> Path:
        if start.name == "nowhere":
            raise NotFoundError(f"no workspace at {start} or above it", hint="run: intelforge init")
        return start
