"""Embedding models behind an HTTP API, one file each, and the cache that all embedders share."""

__all__: list[str] = []
