"""Imports LanceDB without the client of its REST catalogue, which a store on disk never calls.

That client builds some 150 pydantic models when imported, most of a second of a command-line search. While LanceDB is
imported, names from the client are empty classes; afterwards the client can be imported whole by anyone.
"""

import importlib
import sys
from collections.abc import MutableSequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import Lock
from types import ModuleType

CLIENT = "lance_namespace_urllib3_client"

_importing = Lock()


def import_lancedb() -> ModuleType:
    """The module `lancedb`; ImportError when it is not installed."""
    with _importing:
        if "lancedb" in sys.modules or CLIENT in sys.modules:
            return importlib.import_module("lancedb")
        finder = _Finder()
        sys.meta_path.insert(0, finder)
        try:
            return importlib.import_module("lancedb")
        finally:
            sys.meta_path.remove(finder)
            for name in [name for name, module in sys.modules.items() if isinstance(module, _Placeholder)]:
                del sys.modules[name]


class _Placeholder(ModuleType):
    """A module in which every public name is an empty class."""

    __path__: MutableSequence[str] = []  # noqa: RUF012 - what makes it a package

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] == CLIENT else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Placeholder(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run: the names are made when they are asked for."""
