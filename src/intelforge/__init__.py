"""IntelForge: collect, index and ask your own sources, with citations that can be checked to the character."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intelforge.workspace import Workspace

__all__ = ["Workspace"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports the workspace when it is first asked for, so that `import intelforge` stays cheap."""
    if name == "Workspace":
        from intelforge.workspace import Workspace

        return Workspace
    raise AttributeError(f"module 'intelforge' has no attribute {name!r}")
