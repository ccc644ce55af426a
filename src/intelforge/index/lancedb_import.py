"""Imports LanceDB without what the client of its REST catalogue builds when it is imported whole.

The client's `__init__` makes hundreds of validators, most of a second of a command-line search; a store on disk uses a
few of its models and no more.
"""

import importlib
import importlib.util
import sys
from threading import Lock
from types import ModuleType
from typing import Any

CLIENT = "lance_namespace_urllib3_client"

_importing = Lock()


def import_lancedb() -> ModuleType:
    """The module `lancedb`; ImportError when it is not installed. The client is filled in when it is first used."""
    with _importing:
        if "lancedb" not in sys.modules and CLIENT not in sys.modules and (spec := importlib.util.find_spec(CLIENT)):
            hollow = _Hollow(CLIENT)
            hollow.__spec__, hollow.__loader__ = spec, spec.loader
            hollow.__path__ = list(spec.submodule_search_locations or ())
            sys.modules[CLIENT] = hollow
        return importlib.import_module("lancedb")


class _Hollow(ModuleType):
    """A package whose `__init__` runs when a name is asked of it; its submodules can be imported before."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        if self.__spec__ and self.__spec__.loader:
            self.__spec__.loader.exec_module(self)
        return getattr(self, name)
