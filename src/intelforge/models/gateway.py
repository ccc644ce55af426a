"""Opens language models by URL, once each, and keeps them: all calls of a process share connections and breakers."""

import asyncio
import difflib
import functools
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import httpx2

from intelforge.core.errors import BackendError, ConfigError, ErrorCode, ModelError
from intelforge.core.model_reports import ModelCheck
from intelforge.core.registry import backends, load_backend
from intelforge.core.settings import Settings
from intelforge.models.checking import Checker, unopened
from intelforge.models.endpoint import Endpoint, Limits
from intelforge.models.gateway_model import Behaviour, Candidate, GatewayModel, Lent
from intelforge.models.hiding import Hiding, looked_up
from intelforge.models.key_binding import with_key
from intelforge.models.ledger import Ledger
from intelforge.models.ollama import PROBE_SECONDS, choose_chat_model, installed_models, ollama_url
from intelforge.models.prices import ListPrices
from intelforge.models.protocol import LanguageModel, ModelClient, Prices, Redacting, Responder
from intelforge.models.providers import PROVIDERS
from intelforge.models.resilience import CircuitBreaker, RetryPolicy
from intelforge.models.structured import Adapted
from intelforge.models.targets import AUTO, KNOWN, NONE, ROUTER, Target, read_target, split_chain

if TYPE_CHECKING:
    from intelforge.models.recording import Recorder

NO_RETRIES: Final = RetryPolicy(retries=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The settings of a gateway."""

    limits: Limits = field(default_factory=Limits)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    hedge_seconds: float = 0.0
    record: str = ""
    """a file to write exchanges to"""
    probe_timeout: float = PROBE_SECONDS
    """for looking whether an Ollama runs, in seconds"""
    allow_hosts: Collection[str] = ()
    """hosts of the user's own, which keys may be sent to without encryption"""

    @classmethod
    def of(cls, settings: Settings, *, root: Path) -> Self:
        """Those of a workspace in the folder `root`."""
        limits = Limits(
            total=settings.llm_timeout,
            first_token=settings.llm_first_token_timeout,
            token=settings.llm_token_timeout,
            connect=settings.llm_connect_timeout,
            max_tokens=settings.llm_max_tokens,
        )
        return cls(
            limits=limits,
            retry=RetryPolicy(retries=settings.llm_retries),
            hedge_seconds=settings.llm_hedge_seconds,
            record=str(root / settings.llm_record) if settings.llm_record else "",
            allow_hosts=settings.allow_hosts,
        )


@dataclass(slots=True, kw_only=True)
class Gateway:
    """The one way to language models. All its traffic goes through the HTTP client it is given, the caller's to close.

    Router, cache, window and profiles are in `lent`; without them requests go as they are, in the order of the chain.
    """

    client: httpx2.AsyncClient
    ledger: Ledger
    options: Options = field(default_factory=Options)
    prices: Prices = field(default_factory=ListPrices)
    lent: Lent = field(default_factory=Lent)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    secrets: Mapping[str, str] | None = None
    """by name; those of the environment when None"""
    _models: dict[str, LanguageModel] = field(default_factory=dict)
    _candidates: dict[str, Candidate] = field(default_factory=dict)
    _recorder: "Recorder | None" = None

    async def model(self, url: str) -> LanguageModel | None:
        """The language model that a URL names, or None for `none:` and for `auto` when no Ollama with a model runs.

        A model of a chain without its key is left out, which every reply notes. Raises ConfigError for a URL that makes
        no sense, BackendError when the provider's package is not installed, ModelError when no key is there.
        """
        url = url.strip()
        if url in NONE:
            return None
        if url not in self._models:
            opened = await self._opened(url)
            if opened is None:
                return None
            self._models[url] = opened
        return self._models[url]

    def names(self) -> list[str]:
        """Those of the models opened so far, without the chains that they are in."""
        return list(dict.fromkeys(candidate.responder.name for candidate in self._candidates.values()))

    async def target(self, url: str) -> Target:
        """What the URL of one model names, with its key. Raises ConfigError, and ModelError when the key is missing."""
        target = read_target(url, environment=self.environment)
        # A file, or the store of the operating system.
        return await asyncio.to_thread(with_key, target, self.keys, allow_hosts=self.options.allow_hosts)

    @property
    def keys(self) -> Mapping[str, str]:
        """Where keys are looked up."""
        return self.environment if self.secrets is None else self.secrets

    async def check(self, url: str) -> list[ModelCheck]:
        """Whether each model that a URL names can be reached, lets us in and is there, and what it can do.

        None for `none:` and for an `auto` that finds nothing. Never raises for what a model or its provider does.
        """
        url = url.strip()
        found: list[ModelCheck] = []
        for one in () if url in NONE else self._urls(url)[0]:
            try:
                resolved = await self._resolved(one)
                if resolved is None:
                    continue
                target = await self.target(resolved)
                candidate = self._candidate(target)
            except (ModelError, BackendError, ConfigError) as error:
                found.append(unopened(one, error))
                continue
            checker = Checker(
                target=target,
                model=GatewayModel(name=target.name, candidates=(candidate,), behaviour=Behaviour(retry=NO_RETRIES)),
                abilities=candidate.responder.abilities,
                known=self.lent.profiles is not None and self.lent.profiles.abilities(target.name) is not None,
                client=self.client,
                connect=self.options.limits.connect,
            )
            found.append(await checker.check())
        return found

    async def _opened(self, url: str) -> LanguageModel | None:
        urls, routed = self._urls(url)
        candidates: list[Candidate] = []
        keyless: list[ModelError] = []
        for one in urls:
            resolved = await self._resolved(one)
            if resolved is None:
                continue
            try:
                candidates.append(self._candidate(await self.target(resolved)))
            except ModelError as error:
                if error.error_code is not ErrorCode.REFUSED:
                    raise
                keyless.append(error)
        if not candidates and keyless:
            raise none_open(keyless)
        if not candidates:
            return None
        model = GatewayModel(
            name=url if routed else ", ".join(candidate.responder.name for candidate in candidates),
            candidates=tuple(candidates),
            left_out=tuple(f"left out: {error.message}" for error in keyless),
            behaviour=Behaviour(
                timeout=self.options.limits.total, retry=self.options.retry, hedge_seconds=self.options.hedge_seconds
            ),
            lent=self.lent,
            routed=routed,
        )
        return await self._recorded(model)

    def _urls(self, url: str) -> tuple[tuple[str, ...], str]:
        """The URLs to open, and the one by which a router chooses among them."""
        if not url.startswith(ROUTER):
            return split_chain(url), ""
        if self.lent.router is None:
            raise ConfigError(f"llm {url!r} needs a router, and there is none", hint="name a model, or a chain of them")
        return self.lent.router.candidates(url), url

    async def _resolved(self, url: str) -> str | None:
        if url not in AUTO:
            return url
        timeout = self.options.probe_timeout
        models = await installed_models(ollama_url(self.environment), self.client, timeout=timeout)
        chosen = choose_chat_model(models or [])
        return None if chosen is None else f"ollama:{chosen}"

    def _candidate(self, target: Target) -> Candidate:
        if target.url not in self._candidates:
            responder = self._responder(target)
            self._candidates[target.url] = Candidate(target.url, responder, CircuitBreaker(name=responder.name))
        return self._candidates[target.url]

    def _responder(self, target: Target) -> Responder:
        endpoint = Endpoint(
            name=target.name,
            provider=target.provider,
            model=target.model,
            local=target.local,
            client=open_client(target, self.client, connect=self.options.limits.connect, secrets=self.keys),
            ledger=self.ledger,
            prices=self.prices,
            limits=self.options.limits,
        )
        return Adapted(endpoint, self.lent.profiles)

    async def _recorded(self, model: LanguageModel) -> LanguageModel:
        if not self.options.record:
            return model
        from intelforge.models.recording import RecordedModel, Recorder

        if self._recorder is None:
            self._recorder = await asyncio.to_thread(Recorder, self.options.record, self.keys)
        return RecordedModel(model, self._recorder)


def none_open(errors: Sequence[ModelError]) -> ModelError:
    """One error for several models none of which has its key: the only one, or the sum of them."""
    if len(errors) == 1:
        return errors[0]
    told = "; ".join(error.message for error in errors)
    return ModelError(f"none of {len(errors)} models can be asked: {told}", hint=errors[0].hint, code=ErrorCode.REFUSED)


def open_client(
    target: Target, client: httpx2.AsyncClient, *, connect: float, secrets: Mapping[str, str]
) -> ModelClient:
    """What talks to the model of a target; no message of its errors repeats one of the secrets.

    A plug-in's factory gives a ModelClient or a pydantic-ai model.
    """
    if target.facts is None:
        made = _plug_in(target)(target.url)
        if isinstance(made, Redacting):
            made.redact_with(Hiding(secrets))
        if hasattr(made, "send"):
            found: ModelClient = made
            return found
        return _pydantic(target, made, connect, secrets)
    # Imported late because the SDKs below take two seconds to import, and most commands need none of them.
    try:
        from intelforge.models.pydantic_models import open_model as open_pydantic

        model = open_pydantic(target, client)
    except ImportError as error:
        package = target.facts.extra or "openai"
        raise BackendError(
            f"the language model {target.name} needs a package that is not installed",
            hint=f"pip install 'intelforge[{package}]'",
        ) from error
    return _pydantic(target, model, connect, secrets)


def _plug_in(target: Target) -> Callable[..., Any]:
    try:
        return load_backend("language_models", target.url)
    except BackendError:
        if target.provider in backends("language_models"):
            raise
    near = difflib.get_close_matches(target.provider, ["ollama", *PROVIDERS], n=1)
    meant = f"did you mean {near[0]}:{target.model}" if near else f"a model of Ollama is written ollama:{target.url}"
    raise BackendError(f"no provider of language models is named {target.provider!r}", hint=f"{meant}; {KNOWN}")


def _pydantic(target: Target, model: Any, connect: float, secrets: Mapping[str, str]) -> ModelClient:
    from intelforge.models.pydantic_client import PydanticClient

    facts = target.facts
    return PydanticClient(
        name=target.name,
        model=model,
        connect=connect,
        key=target.key_name,
        secrets=functools.partial(looked_up, secrets),
        seed=facts.seed if facts else "seed",
        tried_once=facts is not None,
    )
