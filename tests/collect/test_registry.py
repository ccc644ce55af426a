"""Every kind of source has its collector."""

from pathlib import Path

import pytest

from intelforge.collect.file import FileCollector
from intelforge.collect.folder import FolderCollector
from intelforge.collect.git import GitCollector
from intelforge.collect.registry import open_collector
from intelforge.collect.web import WebCollector
from intelforge.core.settings import Settings
from intelforge.core.values import Source, SourceKind
from intelforge.security.egress import Egress


@pytest.mark.parametrize(
    ("kind", "uri", "expected"),
    [
        (SourceKind.FOLDER, "/docs", FolderCollector),
        (SourceKind.FILE, "/docs/a.md", FileCollector),
        (SourceKind.GIT, "https://example.com/x.git", GitCollector),
        (SourceKind.WEB, "https://example.com/", WebCollector),
    ],
)
def test_a_source_is_opened_by_its_kind(tmp_path: Path, kind: SourceKind, uri: str, expected: type) -> None:
    source = Source(id="s", kind=kind, uri=uri)
    settings = Settings.model_validate({})
    assert type(open_collector(source, settings=settings, egress=Egress(), state=tmp_path)) is expected
    assert list(tmp_path.iterdir()) == []


def test_no_kind_is_forgotten() -> None:
    assert set(SourceKind) == {SourceKind.FOLDER, SourceKind.FILE, SourceKind.GIT, SourceKind.WEB}
