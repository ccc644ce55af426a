"""What the gateway is lent: what is known of models, their windows, and the replies that are kept."""

import functools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from intelforge.core.chat import Message
from intelforge.core.errors import IntelForgeError, ModelError
from intelforge.core.settings import Settings
from intelforge.index.protocol import Embedder, TextKind, Vectors
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.catalogue.fitting import CatalogueWindow
from intelforge.models.catalogue.kept_profiles import KeptProfiles
from intelforge.models.catalogue.overrides import read_overrides
from intelforge.models.gateway_model import Lent
from intelforge.models.protocol import LanguageModel
from intelforge.models.response_cache.cache import ResponseCache
from intelforge.models.response_cache.check import CHECK_FACT, read_check
from intelforge.models.response_cache.open import open_replies
from intelforge.models.response_cache.similar import Similar
from intelforge.models.router.database import DatabaseRouterLog
from intelforge.models.router.lent import LentRouter
from intelforge.models.router.policy import Exploration
from intelforge.models.router.router import Options
from intelforge.models.router.values import Preference
from intelforge.models.window.fit import Strategy
from intelforge.models.window.summary import Summaries
from intelforge.security.secrets import Secrets
from intelforge.store.database import Database
from intelforge.store.facts import Facts
from intelforge.store.model_profiles import ModelProfiles


class Lending:
    """Built from the settings of one workspace, each part when it is first needed."""

    def __init__(
        self,
        root: Path,
        settings: Settings,
        database: Database,
        *,
        secrets: Secrets,
        embedder: Callable[[], Awaitable[Embedder | None]],
        language_model: Callable[[], Awaitable[LanguageModel | None]],
    ) -> None:
        self._root = root
        self._settings = settings
        self._database = database
        self._secrets = secrets
        self._embedder = embedder
        self._language_model = language_model
        self._summaries: Summaries | None = None

    @functools.cached_property
    def lent(self) -> Lent:
        """All of it. Raises ConfigError for a setting that makes no sense."""
        strategy = Strategy(self._settings.llm_overflow)
        window = CatalogueWindow(
            catalogue=self.catalogue,
            strategy=strategy,
            keep_last=self._settings.llm_overflow_turns,
            longest_reply=self._settings.llm_max_tokens,
            summarise=self._summarise if strategy is Strategy.SUMMARISE else None,
        )
        return Lent(router=self.router, cache=self.cache, window=window, profiles=self.catalogue)

    @functools.cached_property
    def router(self) -> LentRouter:
        """What `router:` URLs mean. Raises InvalidInputError for a preference that makes no sense."""
        options = Options(
            preference=Preference.parse(self._settings.router_preference),
            exploration=Exploration(share=self._settings.router_explore),
        )
        return LentRouter(
            named=self._settings.llm_models,
            catalogue=self.catalogue,
            log=DatabaseRouterLog(self._database),
            options=options,
            embed=self._vector,
        )

    @functools.cached_property
    def catalogue(self) -> Catalogue:
        """What is known of models. Raises ConfigError when the file of the setting `model_facts` is wrong."""
        file = self._settings.model_facts
        overrides = read_overrides(self._root / file) if file else {}
        return Catalogue(overrides=overrides, profiles=KeptProfiles(ModelProfiles(self._database)))

    @functools.cached_property
    def cache(self) -> ResponseCache | None:
        """Replies that were given before; None when the settings want none. Raises ConfigError, BackendError."""
        settings, threshold = self._settings, self._settings.cache_similarity
        url = self._secrets.expand(settings.cache, setting="cache")
        store = open_replies(url, root=self._root, hours=settings.cache_hours, megabytes=settings.cache_mb)
        if store is None:
            return None
        similar = Similar(embed=self._embed, threshold=threshold, false_hits=self._false_hits)
        return ResponseCache(store, similar=similar if threshold else None, secrets=lambda: self._secrets.resolved)

    async def close(self) -> None:
        router = vars(self).get("router")
        if router is not None:
            await router.close()
        cache = vars(self).get("cache")
        if cache is not None:
            await cache.close()

    async def _summarise(self, messages: Sequence[Message], tokens: int) -> str:
        if self._summaries is None:
            model = await self._language_model()
            if model is None:
                raise ModelError(
                    "there is no language model to write summaries", hint="set one: intelforge config set llm"
                )
            self._summaries = Summaries(model)
        return await self._summaries(messages, tokens)

    async def _embed(self, questions: Sequence[str]) -> Vectors:
        embedder = await self._embedder()
        if embedder is None:
            raise ModelError("there is no embedder", hint="set one: intelforge config set embedder URL")
        return await embedder.embed(questions, kind=TextKind.QUERY)

    async def _vector(self, text: str) -> Vectors | None:
        """For the router, which calls nobody; it does without where the embedder is elsewhere, is none or fails."""
        try:
            embedder = await self._embedder()
            if embedder is None or not embedder.local:
                return None
            vectors = await embedder.embed([text], kind=TextKind.QUERY)
        except IntelForgeError:
            return None
        found: Vectors = vectors[0]
        return found

    async def _false_hits(self) -> float | None:
        """As it was measured at the threshold of the settings."""
        check = read_check(await Facts(self._database).get(CHECK_FACT))
        rows = [row for row in check.rows if row.threshold == self._settings.cache_similarity] if check else []
        return rows[0].false_hit_rate if rows else None
