"""Secrets taken out of what is written down."""

from pathlib import Path

import pytest

from intelforge.models.hiding import Hiding, hidden, looked_up, secrets_of, stands_in
from intelforge.security.secrets import open_secrets

KEY = "sk-verysecret-0123456789"


def kept(folder: Path, **secrets: str) -> Path:
    for name, secret in secrets.items():
        (folder / name).write_text(secret)
    return folder


def test_those_of_a_folder_that_stand_for_keys_are_hidden_before_they_are_used(tmp_path: Path) -> None:
    secrets = open_secrets(f"folder:{kept(tmp_path, openai_api_key=KEY)}", root=tmp_path, environment={})
    assert Hiding(secrets)({KEY: [f"It is {KEY}.", 5]}) == {"***": ["It is ***.", 5]}


def test_others_are_hidden_once_they_were_looked_up(tmp_path: Path) -> None:
    secrets = open_secrets(f"folder:{kept(tmp_path, db_password='correct horse')}", root=tmp_path, environment={})
    hide = Hiding(secrets)
    assert hide("correct horse") == "correct horse"
    assert secrets["db_password"] == "correct horse"
    assert hide("correct horse") == "***"


def test_a_longer_one_is_hidden_before_a_shorter_one_that_it_holds() -> None:
    found = secrets_of({"OPENAI_API_KEY": KEY, "HF_TOKEN": KEY[:12], "GROQ_API_KEY": "short", "HOME": "/home/someone"})
    assert found == (KEY, KEY[:12])
    assert hidden(KEY, found) == "***"


def test_of_an_environment_alone_all_that_stand_for_keys_may_have_been_sent(tmp_path: Path) -> None:
    environment = {"OPENAI_API_KEY": KEY}
    assert looked_up(environment) == (KEY,)
    secrets = open_secrets("env:", root=tmp_path, environment=environment)
    assert looked_up(secrets) == ()
    assert secrets["OPENAI_API_KEY"] == KEY
    assert looked_up(secrets) == (KEY,)


@pytest.mark.parametrize(
    ("text", "stands"),
    [
        (f"Bearer {KEY}.", True),
        (f"x{KEY}x", True),
        ("the key is s3cr$t!", True),
        ("s3cr$t", True),
        ("s3cr$ts and as3cr$t", False),
        ("", False),
    ],
)
def test_a_short_one_stands_there_as_a_word_alone(text: str, stands: bool) -> None:
    assert stands_in(text, [KEY, "s3cr$t"]) is stands


def test_what_stands_for_no_key_is_no_secret() -> None:
    assert not stands_in("There is none, and the box is EMPTY.", ["none", "EMPTY"])
