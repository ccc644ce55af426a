"""What takes a closer look at the best hits of a search, one file each, found by the scheme of a URL."""

__all__: list[str] = []
