"""IntelForge: collect, index and ask your own sources, with citations that can be checked to the character."""

__version__ = "0.1.0"
