"""The peers' own environments: made once from pinned versions, then used again."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
TORCH = "torch=="
"""installed before the rest, so that what needs it takes this build and not a larger one"""


def known(prefix: str) -> list[str]:
    """The peers that can be measured by programs of this prefix: `run` for ingestion, `search` for searching."""
    return sorted(
        path.stem for path in PEERS.glob("*.txt") if (PEERS / f"{prefix}_{path.name}").with_suffix(".py").is_file()
    )


def python(environment: Path) -> Path:
    """The interpreter of an environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def prepared(name: str, cache: Path, *, run: Callable[[list[str]], object] | None = None) -> Path:
    """The interpreter of a peer's environment, which is made when it is missing or was made from other versions."""
    run = run or _run
    pins = PEERS / f"{name}.txt"
    environment, stamp = cache / name, cache / name / "installed.txt"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == pins.read_text(encoding="utf-8"):
        return python(environment)
    cache.mkdir(parents=True, exist_ok=True)
    (cache / ".gitignore").write_text("*\n", encoding="utf-8")
    run([sys.executable, "-m", "venv", str(environment)])
    install = [str(python(environment)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    lines = pins.read_text(encoding="utf-8").splitlines()
    for torch in (line for line in lines if line.startswith(TORCH)):
        run([*install, torch])
    run([*install, "--requirement", str(pins)])
    stamp.write_text(pins.read_text(encoding="utf-8"), encoding="utf-8")
    return python(environment)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)
