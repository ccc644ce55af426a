"""The collector of a source, by its kind."""

from pathlib import Path

from intelforge.collect.file import FileCollector
from intelforge.collect.folder import FolderCollector
from intelforge.collect.git import GitCollector
from intelforge.collect.protocol import Collector
from intelforge.collect.web import WebCollector
from intelforge.core.settings import Settings
from intelforge.core.values import Source, SourceKind
from intelforge.security.egress import Egress


def open_collector(source: Source, *, settings: Settings, egress: Egress, state: Path) -> Collector:
    """The collector of a source; the caller closes it.

    `state` is a folder of the workspace where collectors keep what they can make again, such as clones. Raises
    InvalidInputError for an option that makes no sense.
    """
    match source.kind:
        case SourceKind.FOLDER:
            return FolderCollector(source, settings)
        case SourceKind.FILE:
            return FileCollector(source, settings)
        case SourceKind.GIT:
            return GitCollector(source, settings, egress=egress, state=state)
        case SourceKind.WEB:
            return WebCollector(source, settings, egress=egress)
