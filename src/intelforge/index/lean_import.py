"""Imports a package without the parts of another one that it loads and never uses here."""

import importlib
import importlib.util
import sys
from types import ModuleType


def import_without_init(name: str, *, hollow: str) -> ModuleType:
    """Imports module `name` while the package `hollow` stands without what its `__init__` would import.

    Submodules of `hollow` are the real ones. Afterwards the stand-in is gone, and whoever imports `hollow` gets it
    whole. For LanceDB this halves the time to import: the `__init__` of its REST client builds hundreds of validators.
    """
    spec = None if name in sys.modules or hollow in sys.modules else importlib.util.find_spec(hollow)
    if spec is None or spec.submodule_search_locations is None:
        return importlib.import_module(name)
    stand_in = ModuleType(hollow)
    stand_in.__spec__ = spec
    stand_in.__path__ = list(spec.submodule_search_locations)
    sys.modules[hollow] = stand_in
    try:
        return importlib.import_module(name)
    finally:
        del sys.modules[hollow]
