"""The settings of an open workspace, which its file may change while it is open."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from intelforge.core.errors import ConfigError
from intelforge.core.settings import Settings
from intelforge.core.settings_file import FILE_NAME, load_settings, write_setting

FOLLOWED: Final = ("index", "embedder")
"""settings that are read again while a workspace is open; the others hold until it is closed"""


class CurrentSettings:
    """The settings as they hold now, where each came from, and writing them."""

    def __init__(
        self, folder: Path, settings: Settings, origins: Mapping[str, str], flags: Mapping[str, object]
    ) -> None:
        self.now = settings
        self.origins = dict(origins)
        self.changed: Callable[[Settings], None] = lambda settings: None
        """told whenever they are others"""
        self._folder = folder
        self._flags = flags

    def check(self, name: str) -> None:
        """Raises ConfigError when a setting comes from elsewhere than the file, so that writing it changes nothing."""
        origin = self.origins.get(name, "default")
        if origin.startswith("environment") or origin == "flag":
            raise ConfigError(
                f"the setting {name!r} would have to be changed, but it comes from: {origin}",
                hint=f"unset that, and set it in the file: intelforge config set {name} VALUE",
            )

    def write(self, name: str, value: str) -> None:
        """Writes one setting to the file, and uses it from now on. Raises ConfigError, StorageError."""
        self.check(name)
        write_setting(self._folder, name, value)
        self.origins[name] = str(self._folder / FILE_NAME)
        self._use({name: value})

    def follow(self) -> None:
        """Takes up what another process, or the user, wrote to the file meanwhile. Raises ConfigError."""
        settings, origins = load_settings(self._folder, flags=self._flags)
        for name in FOLLOWED:
            if name in origins:
                self.origins[name] = origins[name]
            else:
                self.origins.pop(name, None)
        self._use({name: getattr(settings, name) for name in FOLLOWED})

    def _use(self, values: Mapping[str, object]) -> None:
        if any(getattr(self.now, name) != value for name, value in values.items()):
            self.now = self.now.model_copy(update=dict(values))
            self.changed(self.now)
