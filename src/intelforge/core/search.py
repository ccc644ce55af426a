"""A search: what is asked for, how it was made, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from intelforge.core.values import Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What a search asks for."""

    query: str = ""
    """may hold "phrases", -words and field:value, as `intelforge.index.query` describes them"""
    limit: int = 10
    """hits at the most"""
    source: str | None = None
    """the one to stay within, by its id, the start of its id, or its URI"""
    like: str | None = None
    """a document as `show` takes it, or one of its chunks (`DOCUMENT:NUMBER`), others like which are found; the query
    may then hold nothing but fields and -words"""
    cursor: str | None = None
    """of the result whose next page is wanted"""
    rerank: bool = False
    """takes a closer look at the best, for `rerank_seconds` more"""
    diverse: bool = False
    """leaves out what is much like a hit above it"""
    facets: bool = False
    """counts documents by field"""
    explain: bool = False
    """tells how every score came about, and how the search was made"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """How a search was made."""

    query: str
    """what was searched for, without its fields and excluded words"""
    where: str
    """the filter, access list included"""
    store: str
    """URL of the vector store"""
    candidates: Mapping[str, int]
    """by part, how many chunks it found"""
    vector_weight: float
    """the share of meaning in the fused score; words have the rest"""
    weighed: str
    """why that share"""
    embedded: float
    """1 when all chunks have a vector, else 0: their share would count documents that the caller may not see"""
    center: float = 0.0
    """how much of what the corpus has in common was taken out of the query's vector"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What one search found: hits, best first, and what the reader should know of them."""

    hits: tuple[Hit, ...] = ()
    notes: tuple[str, ...] = ()
    """what limits the result, for example that embeddings cannot be reached"""
    corrected: str = ""
    """the query that was searched for instead, because no text has a word of the original; empty when none was"""
    facets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """by field, then value: how many documents of the candidates have it, most first"""
    offset: int = 0
    """hits on the pages before this one"""
    cursor: str = ""
    """asks for the next page; empty on the last one"""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """by part: `words` and `meaning`, side by side, `embedding` (of candidates), `hits`, `rerank`, `spelling`"""
    plan: SearchPlan | None = None
    """when it was asked for"""
