"""Settings: one typed table. `settings_file` reads and writes them."""

import os
import re
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

ENV_PREFIX = "INTELFORGE_"

BACKENDS = {
    "database": "databases",
    "index": "vector_stores",
    "embedder": "embedders",
    "reranker": "rerankers",
    "jobs": "job_engines",
}
"""the settings that name a backend, and the kind it is registered as"""
MAY_BE_NONE = ("embedder", "reranker")
"""those of them that take `none:`"""

PLAIN_NAMES = ("auto", "none")
"""what is also written without a colon"""
LANGUAGE_MODELS = (
    *("auto", "none", "ollama", "openai", "anthropic", "gemini", "mistral", "groq", "deepseek", "xai", "cohere"),
    *("openrouter", "together", "perplexity", "huggingface", "portkey", "router", "http", "https"),
)
"""the schemes of `llm` that are no plug-ins"""

SECRET_STORES = ("env", "folder", "keyring")
"""the schemes of `secrets` that are no plug-ins"""
LANGUAGE_MODEL_CHAIN = re.compile(r"\s*,\s*(?=[A-Za-z][A-Za-z0-9+.-]*:|auto\s*$)")
"""a comma of `llm` before what begins like a URL: one within a name does not part"""


class Settings(BaseSettings):
    """Every setting, with the sentence that documents it."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=ENV_PREFIX)

    database: str = Field("sqlite:///.intelforge/intelforge.db", description="URL of the database of record.")
    index: str = Field("lancedb:.intelforge/index", description="URL of the vector store that holds the search index.")
    embedder: str = Field(
        "onnx:all-MiniLM-L6-v2", description="URL of the embedding model; `none:` searches by words alone."
    )
    reranker: str = Field(
        "late:",
        description="URL of what looks closer at the best hits; `late:` is the embedding model itself, `none:` is off.",
    )
    secrets: str = Field(
        "env:",
        description="Where keys and passwords are looked for before the environment: `env:` for nowhere else, "
        "`folder:PATH` with a file for each, or `keyring:`, the store of the operating system.",
    )
    llm: str = Field(
        "auto",
        description="Language model that writes answers: `auto` finds a running Ollama, `none:` quotes sentences; "
        "several, separated by commas, are asked in turn until one answers.",
    )
    llm_models: tuple[str, ...] = Field(
        (), description="Language models beside `llm` that programs may ask for by their URL, through `serve`."
    )
    router_preference: str = Field(
        "balanced",
        description="What the router weighs: `quality`, `balanced`, `cheap`, `fast`, or `cost=0.2,latency=0.1`.",
    )
    router_explore: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.03, description="Share of calls that the router may give to another model than the best, to learn."
    )
    jobs: str = Field("dbos:", description="URL of the job engine; `dbos:` keeps its state beside the database.")
    ignore: tuple[str, ...] = Field(
        ("node_modules/", "__pycache__/", ".venv/", "*.min.js", "*.pyc"),
        description="Patterns, as in .gitignore, left out of every folder source.",
    )
    max_file_mb: Annotated[float, Field(gt=0)] = Field(
        32, description="Items larger than this many megabytes are skipped."
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        max(1, min(8, os.cpu_count() or 1)), description="Worker processes that extract text."
    )
    batch_items: Annotated[int, Field(ge=1, le=1000)] = Field(128, description="Items ingested in one durable batch.")
    extract_seconds: Annotated[float, Field(gt=0)] = Field(
        60, description="Time limit for extracting one item, in seconds."
    )
    extract_memory_mb: Annotated[int, Field(ge=128)] = Field(
        1024, description="Memory limit of one extraction worker, in megabytes."
    )
    chunk_tokens: Annotated[int, Field(ge=32, le=2048)] = Field(
        220, description="Largest chunk, in tokens of the embedder."
    )
    rerank_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        0.5, description="Time for a closer look at what answers are made from, in seconds; 0 for none."
    )
    search_recency_days: Annotated[float, Field(ge=0)] = Field(
        0, description="Days after which a document counts as half as new when hits are ranked; 0: age does not count."
    )
    search_quality_weight: Annotated[float, Field(ge=0, le=1)] = Field(
        0, description="How much a document's quality counts when hits are ranked, against 1 for what it says."
    )
    slow_search_seconds: Annotated[float, Field(gt=0)] = Field(
        1.0, description="Searches that take longer are put on record with their plan."
    )
    allow_hosts: tuple[str, ...] = Field(
        (), description="Hosts that may be reached although their address is private (host or host:port)."
    )
    web_timeout: Annotated[float, Field(gt=0)] = Field(20, description="Time limit of one web request, in seconds.")
    web_max_redirects: Annotated[int, Field(ge=0, le=20)] = Field(5, description="Redirects followed for one page.")
    llm_overflow: Literal["oldest-first", "sliding", "summarise"] = Field(
        "oldest-first",
        description="What is left out of a conversation that is too long for its model: the oldest turns, all but the "
        "last `llm_overflow_turns`, or the oldest with a summary in their place.",
    )
    llm_overflow_turns: Annotated[int, Field(ge=1)] = Field(
        20, description="Turns that are kept of a conversation when `llm_overflow` is `sliding`."
    )
    cache: str = Field(
        "disk:.intelforge/cache",
        description="Where replies of language models are kept: a folder, `redis://HOST:6379`, or `none:`.",
    )
    cache_hours: Annotated[float, Field(gt=0)] = Field(168, description="Hours for which a reply is kept.")
    cache_mb: Annotated[float, Field(gt=0)] = Field(
        256, description="Megabytes of replies that are kept; those longest unused go first."
    )
    cache_similarity: Annotated[float, Field(ge=0, le=1)] = Field(
        0,
        description="Cosine from which on a question that is worded otherwise is given the reply kept for it; "
        "0: only the same request is. `intelforge models similar` measures how often that goes wrong.",
    )
    model_facts: str = Field(
        "", description="JSON file with facts and prices of models that take the place of the built-in ones."
    )
    llm_timeout: Annotated[float, Field(gt=0)] = Field(
        120, description="Time limit of one language model call, all attempts included, in seconds."
    )
    llm_connect_timeout: Annotated[float, Field(gt=0)] = Field(
        10, description="Time limit for connecting to a language model, in seconds."
    )
    llm_first_token_timeout: Annotated[float, Field(gt=0)] = Field(
        60, description="Time limit for the first piece of a reply that comes in pieces, in seconds."
    )
    llm_token_timeout: Annotated[float, Field(gt=0)] = Field(
        30, description="Time limit between two pieces of such a reply, in seconds."
    )
    llm_max_tokens: Annotated[int, Field(ge=1)] = Field(
        4096, description="Longest reply of a language model, in tokens, where the request names no limit."
    )
    llm_retries: Annotated[int, Field(ge=0, le=10)] = Field(
        2, description="How often the same model is asked again after a failure that may pass."
    )
    llm_hedge_seconds: Annotated[float, Field(ge=0)] = Field(
        0, description="When a model of a chain has said nothing for so many seconds, the next is asked too; 0: never."
    )
    keep_calls_days: Annotated[int, Field(ge=93, le=36500)] = Field(
        400, description="Days for which model calls stay on record: cost reports reach back as far."
    )
    llm_record: str = Field(
        "", description="File to which all exchanges with language models are written, for `mock:replay=FILE`."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags and file values are merged by `load_settings`, which also knows their origin."""
        return (init_settings,)
