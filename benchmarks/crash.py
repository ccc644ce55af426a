"""Kills `intelforge sync` at random moments and then looks for anything lost, doubled or disagreeing.

    python benchmarks/crash.py --kills 200 [--seed 1] [--files 60] [--json]

Each round changes a folder of small files, starts a sync, and kills it with SIGKILL: the whole tree of processes, or
the main process alone, whose workers must then end by themselves. After every few kills an undisturbed sync runs at
once, and the workspace is audited: database and index are read row by row, and every file is searched for by a word
that only it has. One line a figure; the exit code is 1 unless all are 0.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from crash_audit import Findings, Version, acknowledged, audit, working
from crash_folder import CrashFolder

INTELFORGE = str(Path(sys.executable).with_name("intelforge"))
POLLING_SECONDS = 0.01
SYNC_SECONDS = 180.0
"""an undisturbed sync of these few files that takes longer hangs"""
PAST_WORDS = 50
"""words of earlier texts that an audit searches for in vain"""
ORPHAN_SECONDS = 20.0
"""within which the workers of a killed process must be gone"""


@dataclass(kw_only=True)
class Trial:
    """One workspace under fire."""

    root: Path
    random: random.Random
    files: int
    folder: CrashFolder = field(init=False)
    found: Findings = field(default_factory=Findings)
    promised: set[Version] = field(default_factory=set)
    victims: set[int] = field(default_factory=set)
    working_seconds: float = 1.0
    """how long a sync works after its start, so that kills fall into it"""

    def __post_init__(self) -> None:
        self.folder = CrashFolder(path=self.root / "files", random=self.random)
        self.folder.fill(self.files)
        for arguments in (["init", str(self.root)], ["add", str(self.folder.path), "--workspace", str(self.root)]):
            subprocess.run([INTELFORGE, *arguments], check=True, capture_output=True)

    @property
    def database(self) -> Path:
        return self.root / ".intelforge" / "intelforge.db"

    def kill_one(self) -> bool:
        """Changes the folder, starts a sync and kills it; False when it had ended before."""
        self.folder.mutate()
        embed = [] if self.random.random() < 0.5 else ["--no-embed"]
        delay = self.random.uniform(0, 1.1) * self.working_seconds
        with self._sync(*embed) as process:
            self._wait_until_working(process)
            self._wait(process, delay)
            self.promised |= acknowledged(self.database)
            if process.poll() is not None:
                self._check_exit(process)
                return False
            self._kill(process, tree=self.random.random() < 0.6)
        self._await_workers()
        self.found.lost += [f"at once: {version}" for version in self.promised - acknowledged(self.database)]
        return True

    async def audit(self) -> None:
        """Runs a sync to its end and looks at everything."""
        with self._sync() as process:
            self._wait_until_working(process)
            began = time.monotonic()
            try:
                process.wait(SYNC_SECONDS)
            except subprocess.TimeoutExpired:
                self._kill(process, tree=True)
            self._check_exit(process)
            self.working_seconds = time.monotonic() - began
        self.promised |= acknowledged(self.database)
        past = self.random.sample(sorted(self.folder.past), min(PAST_WORDS, len(self.folder.past)))
        await audit(self.root, self.folder.words, past, self.promised, self.found)

    @contextmanager
    def _sync(self, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
        command = [INTELFORGE, "sync", "--workspace", str(self.root), *options]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
            self.victims.add(process.pid)
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def _check_exit(self, process: "subprocess.Popen[bytes]") -> None:
        if process.returncode:
            self.found.failed.append(f"a sync ended with exit status {process.returncode}")

    def _wait_until_working(self, process: "subprocess.Popen[bytes]") -> None:
        """Until it holds its lease; now and then shorter, to hit its start too."""
        deadline = time.monotonic() + (SYNC_SECONDS if self.random.random() < 0.9 else self.random.uniform(0.1, 1.0))
        while process.poll() is None and not working(self.database, process.pid) and time.monotonic() < deadline:
            time.sleep(POLLING_SECONDS)

    def _wait(self, process: "subprocess.Popen[bytes]", seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(POLLING_SECONDS)

    def _kill(self, process: "subprocess.Popen[bytes]", *, tree: bool) -> None:
        if tree:
            process.send_signal(signal.SIGSTOP)  # so that it starts no worker while its children are listed
            for child in psutil.Process(process.pid).children(recursive=True):
                os.kill(child.pid, signal.SIGKILL)
        process.kill()
        process.wait()

    def _await_workers(self) -> None:
        deadline = time.monotonic() + ORPHAN_SECONDS
        while workers := self._workers():
            if time.monotonic() > deadline:
                self.found.orphans += [f"process {worker.pid} outlived its parent" for worker in workers]
                for worker in workers:
                    worker.kill()
                return
            time.sleep(POLLING_SECONDS)

    def _workers(self) -> list[psutil.Process]:
        """The extraction workers of processes that were killed here: they name their parent in their options."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "intelforge.refine.worker" in words and json.loads(words[-1])["parent"] in self.victims:
                found.append(process)
        return found


async def run(trial: Trial, *, kills: int, every: int) -> None:
    """So many kills, with an audit after every few of them and at the end; tells of each audit on stderr."""
    done = 0
    await trial.audit()
    while done < kills:
        killed = trial.kill_one()
        done += killed
        if killed and (done % every == 0 or done == kills):
            await trial.audit()
            print(f"{done} of {kills} kills: {trial.found.figures()}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--audit-every", type=int, default=10, help="kills between two audits")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="intelforge-crash-"))
    began = time.monotonic()
    try:
        trial = Trial(root=root, random=random.Random(arguments.seed), files=arguments.files)
        asyncio.run(run(trial, kills=arguments.kills, every=arguments.audit_every))
    finally:
        shutil.rmtree(root)
    figures = {"kills": arguments.kills, **trial.found.figures(), "seconds": round(time.monotonic() - began, 1)}
    for name in trial.found.figures():
        for line in getattr(trial.found, name)[:10]:
            print(f"{name}: {line}", file=sys.stderr)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name}: {number}" for name, number in figures.items()))
    return 1 if any(trial.found.figures().values()) else 0


if __name__ == "__main__":
    sys.exit(main())
