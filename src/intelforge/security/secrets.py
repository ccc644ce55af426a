"""Secrets by name: from the store that the setting `secrets` names, else from the environment.

    env:                  environment variables alone
    folder:PATH           a file for each, named as the variable or in small letters: Docker and Kubernetes mount such
    keyring:[SERVICE]     the store of the operating system, under the service `intelforge` unless another is named
`${secret:NAME}` in a URL stands for one of them.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

from intelforge.core.errors import BackendError, ConfigError
from intelforge.core.registry import backends, load_backend, scheme_of
from intelforge.core.settings import SECRET_STORES
from intelforge.core.url_secrets import REFERENCE

SERVICE: Final = "intelforge"
LARGEST: Final = 64 * 1024
"""bytes of a file"""
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH


class SecretStore(Protocol):
    """Where secrets are kept."""

    def get(self, name: str) -> str:
        """The secret of exactly this name, empty when there is none. Raises ConfigError when it cannot be read."""
        ...

    def names(self) -> list[str]:
        """Those that can be listed."""
        ...


class Secrets(Mapping[str, str]):
    """The environment, with what a store keeps before it. What was found once is not looked for again."""

    def __init__(self, store: SecretStore | None, environment: Mapping[str, str]) -> None:
        self._store = store
        self._environment = environment
        self._found: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self._store).__name__})"

    def __getitem__(self, name: str) -> str:
        if name in self._found:
            return self._found[name]
        places = (self._store, self._environment) if self._store else (self._environment,)
        for place in places:
            for spelt in dict.fromkeys((name, name.upper(), name.lower())):
                if found := (place.get(spelt) or "").strip():
                    self._found[name] = found
                    return found
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        listed = self._store.names() if self._store else []
        return iter(dict.fromkeys((*listed, *self._found, *self._environment)))

    def __len__(self) -> int:
        return len(list(iter(self)))

    @property
    def resolved(self) -> tuple[str, ...]:
        """The values that were found so far: what may have been sent to someone."""
        return tuple(self._found.values())

    def expand(self, url: str, *, setting: str) -> str:
        """The URL with its secrets in the place of `${secret:NAME}`, percent-encoded. Raises ConfigError."""

        def found(match: re.Match[str]) -> str:
            name = match["name"]
            if name not in self:
                raise ConfigError(
                    f"the setting {setting!r} names the secret {name!r}, and there is none",
                    hint=f"export {name.upper()}=…, or put it where the setting `secrets` says",
                )
            return quote(self[name], safe="")

        return REFERENCE.sub(found, url)


def open_secrets(url: str, *, root: Path, environment: Mapping[str, str] = os.environ) -> Secrets:
    """The secrets that the setting names; a relative folder is below `root`. Nothing is read before it is needed.

    Raises ConfigError for a URL that makes no sense, BackendError for a store that is not known.
    """
    scheme, place = scheme_of(url), url.partition(":")[2].strip()
    if scheme == "env":
        return Secrets(None, environment)
    if scheme == "keyring":
        return Secrets(KeyringSecrets(place or SERVICE), environment)
    if scheme != "folder":
        return Secrets(_plug_in(url, root), environment)
    if not place:
        raise ConfigError("the setting 'secrets' names no folder", hint="write it as folder:/run/secrets")
    return Secrets(FolderSecrets(root / Path(place).expanduser()), environment)


def _plug_in(url: str, root: Path) -> SecretStore:
    """A store of the entry-point group `intelforge.secret_stores`."""
    known = backends("secret_stores")
    if scheme_of(url) not in known:
        problem = f"the setting 'secrets' names no store: {url.partition(':')[0]!r} is not known"
        raise BackendError(problem, hint=f"known: {', '.join((*SECRET_STORES, *known))}")
    store: SecretStore = load_backend("secret_stores", url)(url, root=root)
    return store


class FolderSecrets:
    """One file for each secret. What others than its owner may write is refused: they could put in a key of theirs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> str:
        """See SecretStore."""
        if not _NAME.fullmatch(name):
            return ""
        self._check_folder()
        path = self._folder / name
        try:
            # Not blocking: it may be a pipe.
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            return _read(path, descriptor)
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        """See SecretStore."""
        try:
            return sorted(path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file())
        except OSError as error:
            raise _unreadable(self._folder, error) from error

    def _check_folder(self) -> None:
        try:
            mode = self._folder.stat().st_mode
        except OSError as error:
            raise _unreadable(self._folder, error) from error
        if not stat.S_ISDIR(mode):
            raise ConfigError(f"{self._folder} is no folder", hint="mend the setting `secrets`")
        if not mode & stat.S_ISVTX:  # who may not replace what is there does no harm: Kubernetes mounts it so
            _check_writable(self._folder, mode)


class KeyringSecrets:
    """The operating system's store: Keychain, Credential Locker, Secret Service. Its client is the extra `keyring`."""

    def __init__(self, service: str) -> None:
        self._service = service

    def get(self, name: str) -> str:
        """See SecretStore. Raises BackendError when the extra is not installed."""
        try:
            import keyring
            from keyring.errors import KeyringError
        except ImportError as error:
            raise BackendError(
                "the setting `secrets` names the keyring, which needs keyring", hint="pip install 'intelforge[keyring]'"
            ) from error
        try:
            return keyring.get_password(self._service, name) or ""
        except KeyringError as error:
            raise ConfigError(
                f"the keyring of this machine cannot be read ({type(error).__name__})",
                hint="unlock it, or set `secrets` to env: or folder:PATH",
            ) from error

    def names(self) -> list[str]:
        """None: a keyring does not list them."""
        return []


def _read(path: Path, descriptor: int) -> str:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
        raise ConfigError(f"the secret {path} is no file of a line of text", hint="write the secret alone into it")
    _check_writable(path, status.st_mode)
    try:
        text = os.read(descriptor, LARGEST).decode("utf-8").strip()
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        raise ConfigError(f"the secret {path} is not one line of text", hint="write the secret alone into it")
    return text


def _check_writable(path: Path, mode: int) -> None:
    if os.name == "posix" and mode & _WRITABLE:
        raise ConfigError(f"{path}, which holds secrets, can be changed by others", hint=f"chmod go-w {path}")


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{path}, which the setting 'secrets' names, cannot be read: {error.strerror}",
        hint="mend its permissions, or the setting `secrets`",
    )
