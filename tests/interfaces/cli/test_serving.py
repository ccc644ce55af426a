"""The server as a user starts it: a process of its own, asked by OpenAI's client over a socket."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

HELLO: Any = [{"role": "user", "content": "Hello?"}]


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "intelforge", "-w", str(folder), "serve", *words]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "intelforge.toml").write_text('llm = "mock:Good%20day."\nembedder = "none:"\njobs = "memory:"\n')
    return tmp_path


@contextlib.contextmanager
def serving(folder: Path, *words: str, key: str = "") -> Iterator[str]:
    """Its URL, which it prints when clients may connect."""
    environment = {**os.environ, "INTELFORGE_API_KEY": key}
    process = subprocess.Popen(
        command(folder, "--port", "0", *words, "--json"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    told = process.stdout.readline()
    try:
        assert told, process.communicate()[1].decode()
        found = json.loads(told)
        yield found["url"]
    finally:
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=30)
    assert found == {"url": found["url"], "workspace": str(folder)}
    assert rest == b""
    assert b"Traceback" not in said
    assert process.returncode in (0, 130)


def test_openais_client_talks_to_a_workspace(workspace: Path) -> None:
    with serving(workspace) as url, openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        reply = client.chat.completions.create(model="auto", messages=HELLO)
        assert reply.choices[0].message.content == "Good day."
        stream: Any = client.chat.completions.create(model="auto", messages=HELLO, stream=True)
        assert "".join(piece.choices[0].delta.content or "" for piece in stream) == "Good day."
        assert "auto" in [model.id for model in client.models.list()]
        with pytest.raises(openai.NotFoundError, match="no model 'other'"):
            client.chat.completions.create(model="other", messages=HELLO)


def test_several_processes_answer_on_one_port(workspace: Path) -> None:
    with (
        serving(workspace, "--workers", "2") as url,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=60) as client,
    ):
        assert "auto" in [model.id for model in client.models.list()]


def test_processes_end_with_the_one_that_started_them_even_when_that_is_killed(workspace: Path) -> None:
    process = subprocess.Popen(
        command(workspace, "--port", "0", "--workers", "2", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout
        url = json.loads(process.stdout.readline())["url"]
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=60) as client:
            assert client.models.list().data
        process.kill()
        _, said = process.communicate(timeout=30)  # returns when no process holds the pipes any more
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert said == b""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=10):
        pass


def test_a_key_is_needed_where_one_is_set(workspace: Path) -> None:
    with serving(workspace, key="s3cret") as url:
        with (
            openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.models.list()
        with openai.OpenAI(base_url=url, api_key="s3cret", max_retries=0) as client:
            assert client.models.list().data


def test_the_key_may_be_where_the_other_secrets_are(workspace: Path) -> None:
    (workspace / "secrets").mkdir()
    (workspace / "secrets" / "intelforge_api_key").write_text("s3cret\n")
    with (workspace / "intelforge.toml").open("a") as settings:
        settings.write('secrets = "folder:secrets"\n')
    with serving(workspace, "--host", "0.0.0.0", "--workers", "2") as url:
        url = url.replace("0.0.0.0", "127.0.0.1")
        with (
            openai.OpenAI(base_url=url, api_key="wrong", max_retries=0, timeout=60) as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.models.list()
        with openai.OpenAI(base_url=url, api_key="s3cret", max_retries=0, timeout=60) as client:
            assert client.models.list().data


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--host", "0.0.0.0"), "INTELFORGE_API_KEY is not set"), (("--port", "TAKEN"), "cannot be listened on")],
)
def test_what_cannot_be_served_is_said_in_one_line(workspace: Path, words: tuple[str, ...], said: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = tuple(str(taken.getsockname()[1]) if word == "TAKEN" else word for word in words)
        environment = {**os.environ, "INTELFORGE_API_KEY": ""}
        done = subprocess.run(
            command(workspace, *words), capture_output=True, text=True, env=environment, timeout=60, check=False
        )
    assert done.returncode
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_model_that_is_not_well_is_said_when_the_server_starts(tmp_path: Path) -> None:
    (tmp_path / "intelforge.toml").write_text('llm = "openai:gpt-x"\nembedder = "none:"\njobs = "memory:"\n')
    environment = {**os.environ, "OPENAI_API_KEY": "", "INTELFORGE_API_KEY": ""}
    process = subprocess.Popen(command(tmp_path, "--port", "0"), env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr:
        said = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    assert said.startswith("openai:gpt-x needs a key, and OPENAI_API_KEY is not set; export OPENAI_API_KEY=")
