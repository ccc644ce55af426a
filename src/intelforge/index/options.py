"""How a search is made, beside what it looks for."""

from dataclasses import dataclass
from typing import Final

from intelforge.index.cursor import Page
from intelforge.index.like import Seed
from intelforge.index.priors import Priors


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All off by default."""

    explain: bool = False
    """tell what each part gave each hit, and how the search was made"""
    facets: bool = False
    """count documents by source, kind, language, type and tag"""
    diverse: bool = False
    """leave out what is much like a hit above it"""
    respell: bool = False
    """take a word that no text has for the nearest one"""
    priors: Priors | None = None
    page: Page | None = None
    """which page, when there may be more than one"""
    like: Seed | None = None
    """find what is like this, instead of what the query says"""


PLAIN: Final = Options()
