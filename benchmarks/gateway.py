"""What the gateway costs: requests a second, latency and memory of the HTTP endpoint beside the LiteLLM proxy's, the
time that a call in process takes beside what the provider takes, and what faults do to the ledger.

    python benchmarks/gateway.py [--peers litellm] [--connections 1,32] [--seconds 10] [--json]
    python benchmarks/gateway.py --faults 1000 [--json]

One provider on a loopback socket answers everything at once (`peers/provider.py`). Each gateway runs alone, as its
documentation starts it; the same program asks both (`gateway_load.py`), and no request is like another.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import gateway_faults
import gateway_load
import httpx2
import measuring
import peer_environments

import ingest
from intelforge.core.chat import ChatRequest, Message, Role
from intelforge.store.calls import Calls
from intelforge.store.database import open_database
from intelforge.workspace import Workspace

HERE = Path(__file__).parent
OWN: Final = "intelforge"
PEER: Final = "litellm"
KEY: Final = "sk-benchmark"
START_SECONDS: Final = 120.0
CALLS: Final = 1000
"""in process"""
OVERHEAD_MS: Final = 3.0
TIMES_PEER: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One gateway, one kind of request, so many connections."""

    system: str
    kind: str
    connections: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    memory_mb: float
    """the most of all its processes while it was asked"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """Of calls in process, one after the other, in milliseconds."""

    direct_p50: float
    """the same request by a plain HTTP client"""
    gateway_p50: float

    @property
    def p50(self) -> float:
        return self.gateway_p50 - self.direct_p50


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(command: Sequence[str], *, ready: Callable[[], bool], **environment: str) -> Iterator[int]:
    """The program's process number once it is ready. Raises RuntimeError with what it said when it never is."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env={**os.environ, **environment}, start_new_session=True
        )
        try:
            until = time.monotonic() + START_SECONDS
            while not ready():
                if process.poll() is not None or time.monotonic() > until:
                    said.seek(0)
                    raise RuntimeError(f"{command[0]} did not start: {said.read()[-2000:]}")
                time.sleep(0.1)
            yield process.pid
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def listens(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return ready


@contextmanager
def provider() -> Iterator[int]:
    """The port of the provider."""
    port = free_port()
    with started([sys.executable, str(HERE / "peers" / "provider.py"), str(port)], ready=listens(port)):
        yield port


@contextmanager
def intelforge(upstream: int, folder: Path, workers: int) -> Iterator[tuple[str, int]]:
    """The URL and the process of IntelForge's endpoint."""
    write_settings(upstream, folder)
    port = free_port()
    command = [sys.executable, "-m", "intelforge", "-w", str(folder), "serve"]
    with started([*command, "--port", str(port), "--workers", str(workers)], ready=listens(port)) as pid:
        yield f"http://127.0.0.1:{port}/v1", pid


def write_settings(upstream: int, folder: Path) -> None:
    Workspace.init(folder)
    url = f"http://127.0.0.1:{upstream}/v1#test"
    (folder / "intelforge.toml").write_text(f'llm = "{url}"\nembedder = "{url}"\ncache = "none:"\n', encoding="utf-8")


@contextmanager
def litellm(upstream: int, folder: Path, workers: int) -> Iterator[tuple[str, int]]:
    """The URL and the process of the LiteLLM proxy, without a database, as its quick start has it."""
    python = peer_environments.prepared(PEER, ingest.ENVIRONMENTS)
    parameters = {"model": "openai/test", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": "test", "litellm_params": parameters}],
        "general_settings": {"master_key": KEY},
    }
    written = folder / "litellm.yaml"
    written.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    port = free_port()
    command = [str(python.with_name("litellm")), "--config", str(written), "--host", "127.0.0.1"]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    with started([*command, "--port", str(port), "--num_workers", str(workers)], ready=listens(port), **quiet) as pid:
        yield f"http://127.0.0.1:{port}/v1", pid


GATEWAYS: Final = {OWN: (intelforge, "auto"), PEER: (litellm, "test")}


def measure(system: str, options: argparse.Namespace) -> Iterator[Measured]:
    """Every kind of request with every number of connections."""
    opened, model = GATEWAYS[system]
    with (
        provider() as upstream,
        tempfile.TemporaryDirectory() as name,
        opened(upstream, Path(name), options.workers) as (url, pid),
    ):
        for kind in gateway_load.KINDS:
            for connections in options.connections:
                with measuring.MemorySampler(pid) as memory:
                    told = _asked(url, kind, model, connections, options.seconds)
                    memory.sample()
                yield _measured(system, kind, connections, told, memory.peak_bytes)


def _asked(url: str, kind: str, model: str, connections: int, seconds: float) -> Mapping[str, Any]:
    """By a process of its own."""
    command = [sys.executable, str(HERE / "gateway_load.py"), url, kind, "--key", KEY]
    if kind == "embeddings" and model == "auto":
        model = "embedder"
    command += ["--model", model, "--connections", str(connections), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{url} {kind}: {done.stderr[-2000:]}")
    told: Mapping[str, Any] = json.loads(done.stdout)
    return told


def _measured(system: str, kind: str, connections: int, told: Mapping[str, Any], peak: int) -> Measured:
    cuts = statistics.quantiles(told["seconds"], n=100, method="inclusive")
    return Measured(
        system=system,
        kind=kind,
        connections=connections,
        per_second=told["per_second"],
        p50_ms=cuts[49] * 1000,
        p95_ms=cuts[94] * 1000,
        p99_ms=cuts[98] * 1000,
        memory_mb=peak / 1e6,
    )


async def overhead(upstream: int, folder: Path) -> Overhead:
    """Calls through a workspace, and the same by a plain HTTP client, in turns."""
    write_settings(upstream, folder)
    url = f"http://127.0.0.1:{upstream}/v1/chat/completions"
    direct, gateway = [], []
    async with Workspace.open(folder) as workspace, httpx2.AsyncClient() as client:
        for number in range(CALLS + 50):
            text = f"Question {number}: what does the fox do?"
            began = time.perf_counter()
            body = {"model": "test", "messages": [{"role": "user", "content": text}]}
            (await client.post(url, json=body)).raise_for_status().json()
            between = time.perf_counter()
            await workspace.chatting.chat(ChatRequest(messages=(Message.of(Role.USER, text),)), model="auto")
            ended = time.perf_counter()
            direct.append(between - began)
            gateway.append(ended - between)
    middle = [statistics.median(told[50:]) * 1000 for told in (direct, gateway)]
    return Overhead(direct_p50=middle[0], gateway_p50=middle[1])


async def faulty(number: int) -> gateway_faults.Faulty:
    """So many exchanges with a provider that fails in every way, on a ledger as a workspace has it."""
    with tempfile.TemporaryDirectory() as folder:
        database = await open_database("sqlite:///ledger.db", root=Path(folder))
        calls = Calls(database)
        try:
            found = await gateway_faults.run(number, calls)
            return gateway_faults.with_rows(found, await calls.all())
        finally:
            await calls.close()
            await database.close()


def goals(measured: Sequence[Measured], spent: Overhead) -> Iterator[ingest.Goal]:
    """What was promised."""
    yield ingest.Goal(what="overhead of a call in process, p50", value=spent.p50, bound=OVERHEAD_MS, unit="ms")
    by = {(one.system, one.kind, one.connections): one for one in measured}
    for (system, kind, connections), one in by.items():
        peer = by.get((PEER, kind, connections))
        if system != OWN or peer is None:
            continue
        about = f"{kind}, {connections} connections"
        ratio = one.per_second / peer.per_second
        yield ingest.Goal(
            what=f"times LiteLLM's requests a second: {about}", value=ratio, bound=TIMES_PEER, unit="", at_least=True
        )
        yield ingest.Goal(what=f"memory: {about}", value=one.memory_mb, bound=peer.memory_mb, unit="MB")


def table(measured: Sequence[Measured]) -> str:
    """As a Markdown table."""
    names = ("system", "kind", "connections", "requests/s", "p50 ms", "p95 ms", "p99 ms", "memory MB")
    lines = ["| " + " | ".join(names) + " |", "|---|---" + "|---:" * (len(names) - 2) + "|"]
    for one in measured:
        times = (f"{value:.1f}" for value in (one.p50_ms, one.p95_ms, one.p99_ms))
        cells = (one.system, one.kind, str(one.connections), f"{one.per_second:,.0f}", *times, f"{one.memory_mb:,.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(measured: Sequence[Measured], spent: Overhead, about: Mapping[str, object]) -> str:
    """All results, for people."""
    verdicts = "\n".join(str(goal) for goal in goals(measured, spent))
    said = f"a call in process takes {spent.gateway_p50:.2f} ms, by a plain HTTP client {spent.direct_p50:.2f} ms (p50)"
    return "\n\n".join([", ".join(f"{name} {value}" for name, value in about.items()), table(measured), said, verdicts])


def as_json(measured: Sequence[Measured], spent: Overhead, about: Mapping[str, object]) -> str:
    """All results, for programs."""
    held = [asdict(goal) | {"met": goal.met} for goal in goals(measured, spent)]
    rows = [asdict(one) for one in measured]
    return json.dumps({"machine": about, "rows": rows, "overhead_ms_p50": spent.p50, "goals": held})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Requests a second, latency and memory of the gateway.")
    parser.add_argument("--peers", default="", help=f"to measure as well: {PEER}")
    parser.add_argument("--connections", type=_numbers, default=[1, 32])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=1, help="processes of each gateway")
    parser.add_argument("--faults", type=int, default=0, help="make so many faulty exchanges instead")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    if options.faults:
        found = asdict(asyncio.run(faulty(options.faults)))
        print(json.dumps(found) if options.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
        return
    about = ingest.machine()
    measured: list[Measured] = []
    for system in (OWN, *(name for name in options.peers.split(",") if name)):
        for one in measure(system, options):
            measured.append(one)
            print(table([one]).splitlines()[-1], file=sys.stderr)
    with provider() as upstream, tempfile.TemporaryDirectory() as name:
        spent = asyncio.run(overhead(upstream, Path(name)))
    print(as_json(measured, spent, about) if options.json else report(measured, spent, about))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
