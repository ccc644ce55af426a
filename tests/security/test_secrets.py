"""Secrets by name, from folders, the keyring and the environment."""

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from intelforge.core.errors import BackendError, ConfigError
from intelforge.security.secrets import LARGEST, open_secrets

KEY = "sk-verysecret-0123456789"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "secrets"
    found.mkdir(mode=0o755)
    return found


def put(folder: Path, name: str, text: str, mode: int = 0o644) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_the_environment_has_them_unless_a_store_does(folder: Path) -> None:
    put(folder, "openai_api_key", f"{KEY}\n")
    environment = {"OPENAI_API_KEY": "of the environment", "GROQ_API_KEY": " groq "}
    assert open_secrets("env:", root=folder, environment=environment)["OPENAI_API_KEY"] == "of the environment"
    found = open_secrets("folder:secrets", root=folder.parent, environment=environment)
    assert (found["OPENAI_API_KEY"], found["GROQ_API_KEY"], found["groq_api_key"]) == (KEY, "groq", "groq")
    assert "HF_TOKEN" not in found
    assert {"openai_api_key", "GROQ_API_KEY"} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "openai_api_key"])
def test_a_file_is_named_as_the_variable_or_in_small_letters(folder: Path, name: str) -> None:
    put(folder, name, KEY)
    assert open_secrets(f"folder:{folder}", root=Path(), environment={})["OPENAI_API_KEY"] == KEY


def test_a_file_may_be_a_link_as_kubernetes_mounts_it(folder: Path) -> None:
    (folder / "..2026_11_21").mkdir()
    put(folder / "..2026_11_21", "DB", KEY)
    (folder / "..data").symlink_to("..2026_11_21")
    (folder / "DB").symlink_to("..data/DB")
    folder.chmod(0o1777)
    found = open_secrets(f"folder:{folder}", root=Path(), environment={})
    assert found["db"] == KEY
    assert list(found) == ["DB", "db"]


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_what_others_may_write_is_refused(folder: Path, mode: int) -> None:
    path = put(folder, "OPENAI_API_KEY", KEY, mode)
    secrets = open_secrets(f"folder:{folder}", root=Path(), environment={})
    with pytest.raises(ConfigError, match="can be changed by others") as caught:
        secrets.get("OPENAI_API_KEY")
    assert caught.value.hint == f"chmod go-w {path}"
    assert KEY not in str(caught.value)
    path.chmod(0o600)
    folder.chmod(0o775)
    with pytest.raises(ConfigError, match="can be changed by others"):
        secrets.get("OPENAI_API_KEY")


@pytest.mark.parametrize("text", [f"{KEY}\nAnd: a header", "x" * (LARGEST + 1), "a\0b"])
def test_what_is_not_one_line_is_refused_and_not_shown(folder: Path, text: str) -> None:
    put(folder, "OPENAI_API_KEY", text)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is n") as caught:
        open_secrets(f"folder:{folder}", root=Path(), environment={}).get("OPENAI_API_KEY")
    assert KEY not in str(caught.value)


def test_bytes_that_are_no_text_and_pipes_are_refused(folder: Path) -> None:
    (folder / "BYTES").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(folder / "PIPE")
    (folder / "FOLDER").mkdir()
    secrets = open_secrets(f"folder:{folder}", root=Path(), environment={})
    for name in ("BYTES", "PIPE", "FOLDER"):
        with pytest.raises(ConfigError, match=name):
            secrets.get(name)


def test_no_name_leads_out_of_the_folder(folder: Path) -> None:
    put(folder.parent, "outside", KEY)
    secrets = open_secrets(f"folder:{folder}", root=Path(), environment={})
    assert [secrets.get(name) for name in ("../outside", f"{folder.parent}/outside", "..", "")] == [None] * 4


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("folder:", "names no folder"),
        ("folder:gone", "cannot be read"),
        ("vault:x", "'vault' is not known; known: env, folder, keyring"),
    ],
)
def test_a_setting_that_makes_no_sense_is_an_error(tmp_path: Path, url: str, problem: str) -> None:
    with pytest.raises((ConfigError, BackendError), match=problem) as caught:
        open_secrets(url, root=tmp_path, environment={}).get("OPENAI_API_KEY")
    assert caught.value.hint


def test_references_in_urls_are_replaced_and_quoted() -> None:
    secrets = open_secrets("env:", root=Path(), environment={"DB_PASSWORD": "p@ss:w/rd"})
    url = "postgresql://me:${secret:db_password}@host/db"
    assert secrets.expand(url, setting="database") == "postgresql://me:p%40ss%3Aw%2Frd@host/db"
    assert secrets.expand("sqlite:///here.db", setting="database") == "sqlite:///here.db"
    with pytest.raises(ConfigError, match="'database' names the secret 'other', and there is none") as caught:
        secrets.expand("postgresql://me:${secret:other}@host/db", setting="database")
    assert "export OTHER=" in caught.value.hint


def test_no_text_about_them_shows_one(folder: Path) -> None:
    put(folder, "KEY", KEY)
    secrets = open_secrets(f"folder:{folder}", root=Path(), environment={"OTHER": KEY})
    assert secrets["KEY"] == secrets["OTHER"] == KEY
    assert KEY not in f"{secrets!r} {secrets}"


class KeyringDouble(ModuleType):
    """In the place of the package `keyring`."""

    class KeyringError(Exception):
        pass

    def __init__(self, *, locked: bool = False) -> None:
        super().__init__("keyring")
        self.errors, self.locked = self, locked

    def get_password(self, service: str, name: str) -> str | None:
        if self.locked:
            raise self.KeyringError(f"the key was {KEY}")
        return {("intelforge", "openai_api_key"): KEY, ("work", "OPENAI_API_KEY"): "work"}.get((service, name))


def install(monkeypatch: pytest.MonkeyPatch, double: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, "keyring", double)
    monkeypatch.setitem(sys.modules, "keyring.errors", double)


def test_the_keyring_is_asked_under_its_service(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, KeyringDouble())
    environment = {"GROQ_API_KEY": "groq"}
    found = open_secrets("keyring:", root=Path(), environment=environment)
    assert (found["OPENAI_API_KEY"], found["GROQ_API_KEY"], found.get("HF_TOKEN")) == (KEY, "groq", None)
    assert open_secrets("keyring:work", root=Path(), environment={})["OPENAI_API_KEY"] == "work"
    assert "OPENAI_API_KEY" in set(found)


def test_a_keyring_that_is_locked_or_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = open_secrets("keyring:", root=Path(), environment={"OPENAI_API_KEY": KEY})
    install(monkeypatch, KeyringDouble(locked=True))
    with pytest.raises(ConfigError, match=r"cannot be read \(KeyringError\); unlock it") as caught:
        secrets.get("OPENAI_API_KEY")
    assert KEY not in str(caught.value)
    install(monkeypatch, None)
    with pytest.raises(BackendError, match=r"pip install 'intelforge\[keyring\]'"):
        secrets.get("OPENAI_API_KEY")
