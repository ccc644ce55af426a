"""The reranker `late:`: late interaction with the encoder that embeds."""

from intelforge.core.errors import ConfigError
from intelforge.index.rerank import LateInteraction
from intelforge.index.rerankers.context import RerankerContext


def open_reranker(url: str, *, context: RerankerContext) -> LateInteraction | None:
    """None when the embedder is not one that gives vectors of tokens. Raises ConfigError."""
    if url.partition(":")[2].strip():
        raise ConfigError(
            f"reranker {url!r} names a model, but late interaction has none of its own", hint="write it as late:"
        )
    return LateInteraction(context.encoder) if context.encoder else None
