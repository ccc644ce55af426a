"""What this machine has for running models: memory, cores, how fast memory is read, and a graphics card."""

import asyncio
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import psutil

GIGA: Final = 1e9
MEBI: Final = 1 << 20
SAMPLE: Final = 32 * MEBI
"""bytes that each thread copies: more than processors keep in their caches"""
SECONDS: Final = 0.5
"""for measuring"""
PASSES: Final = 3
"""at least, however long they take"""
SYSTEM: Final = 2.0 * GIGA
"""left for everything else"""
SYSTEM_SHARE: Final = 0.2
THREADS: Final = 8
QUERY: Final = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
QUERY_SECONDS: Final = 5.0
BANDWIDTHS: Final = (
    ("5090", 1792e9),
    ("5080", 960e9),
    ("5070 ti", 896e9),
    ("5070", 672e9),
    ("5060", 448e9),
    ("4090", 1008e9),
    ("4080", 717e9),
    ("4070 ti super", 672e9),
    ("4070", 504e9),
    ("4060 ti", 288e9),
    ("4060", 272e9),
    ("3090", 936e9),
    ("3080", 760e9),
    ("3070", 448e9),
    ("3060", 360e9),
    ("h200", 4800e9),
    ("h100", 3350e9),
    ("a100", 1935e9),
    ("a10g", 600e9),
    ("a10", 600e9),
    ("l40", 864e9),
    ("l4", 300e9),
    ("t4", 320e9),
    ("v100", 900e9),
)
"""bytes a second of graphics cards, from NVIDIA's data sheets; of several variants the slower"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphics:
    """A graphics card."""

    name: str
    memory: float
    """bytes"""
    bandwidth: float
    """bytes a second; 0.0 when the card is not known"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What models may use. Sizes are in bytes."""

    memory: float
    usable: float
    """for a model, with the rest left for everything else"""
    cores: int
    bandwidth: float
    """bytes that processors read and write a second, measured"""
    graphics: tuple[Graphics, ...] = ()

    @property
    def graphics_memory(self) -> float:
        return sum(card.memory for card in self.graphics)


async def this_machine(*, memory_gb: float | None = None) -> Machine:
    """Measures this machine, in under a second. `memory_gb` is what a model may use, instead of what is measured."""
    bandwidth, graphics = await asyncio.gather(asyncio.to_thread(measured_bandwidth), graphics_cards())
    total = float(psutil.virtual_memory().total)
    usable = total - max(SYSTEM, SYSTEM_SHARE * total) if memory_gb is None else memory_gb * GIGA
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return Machine(memory=total, usable=max(usable, 0.0), cores=cores, bandwidth=bandwidth, graphics=graphics)


def measured_bandwidth(*, seconds: float = SECONDS, size: int = SAMPLE) -> float:
    """Bytes a second that all cores together copy, each byte read and written: the best of what the time allows."""
    threads = min(os.cpu_count() or 1, THREADS)
    pairs = [(np.ones(size // 8), np.ones(size // 8)) for _ in range(threads)]
    best, passes, ends = 0.0, 0, time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:
        while True:
            began = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            now = time.perf_counter()
            best = max(best, 2 * size * threads / (now - began))
            passes += 1
            if now >= ends and passes >= PASSES:
                return best


async def graphics_cards() -> tuple[Graphics, ...]:
    """NVIDIA's cards, by its own tool; none when that is not there or does not answer."""
    tool = shutil.which(QUERY[0])
    if tool is None:
        return ()
    process = await asyncio.create_subprocess_exec(
        tool, *QUERY[1:], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), QUERY_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return ()
    return read_cards(output.decode(errors="replace"))


def read_cards(output: str) -> tuple[Graphics, ...]:
    """The cards in what `nvidia-smi` prints: a name and mebibytes on each line."""
    cards = []
    for line in output.splitlines():
        name, comma, memory = line.rpartition(",")
        if comma and memory.strip().isdigit():
            cards.append(Graphics(name=name.strip(), memory=int(memory) * MEBI, bandwidth=_bandwidth(name)))
    return tuple(cards)


def _bandwidth(name: str) -> float:
    return next((speed for part, speed in BANDWIDTHS if part in name.lower()), 0.0)
