"""The server as a user starts it: a process of its own, asked by OpenAI's client over a socket."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

HELLO: Any = [{"role": "user", "content": "Hello?"}]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "intelforge", "-w", str(folder), "serve", *words]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "intelforge.toml").write_text('llm = "mock:Good%20day."\nembedder = "none:"\njobs = "memory:"\n')
    return tmp_path


@contextlib.contextmanager
def serving(folder: Path, *words: str, key: str = "") -> Iterator[str]:
    """Its URL, once it answers."""
    port = free_port()
    environment = {**os.environ, "INTELFORGE_API_KEY": key}
    process = subprocess.Popen(
        command(folder, "--port", str(port), *words, "--json"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx2.Client() as client:
            for _ in range(300):
                with contextlib.suppress(httpx2.TransportError):
                    assert client.get(f"{url}/healthz").status_code == 200
                    break
                assert process.poll() is None, process.communicate()[1].decode()
                time.sleep(0.1)
        yield f"{url}/v1"
    finally:
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=30)
    assert json.loads(out) == {"url": f"{url}/v1", "workspace": str(folder)}
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


def test_a_key_is_needed_where_one_is_set(workspace: Path) -> None:
    with serving(workspace, key="s3cret") as url:
        with (
            openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.models.list()
        with openai.OpenAI(base_url=url, api_key="s3cret", max_retries=0) as client:
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
