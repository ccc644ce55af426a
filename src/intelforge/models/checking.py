"""Whether a model can be reached, lets us in and is there: by the provider's list of models, else by asking it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx2

from intelforge.core.chat import Accounting, ChatRequest, Message, Role
from intelforge.core.errors import EgressError, ErrorCode, IntelForgeError, ModelError
from intelforge.core.model_reports import ModelCheck
from intelforge.models.failures import Failure, ProviderError
from intelforge.models.key_binding import bound_client
from intelforge.models.protocol import Abilities, LanguageModel
from intelforge.models.providers import PROVIDERS
from intelforge.models.targets import Target

SECONDS: Final = 20.0
MAX_TOKENS: Final = 16
_UNREACHED: Final = (ErrorCode.UNREACHABLE, ErrorCode.TIMED_OUT, ErrorCode.BLOCKED, ErrorCode.UNTRUSTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Looks at one model."""

    target: Target
    model: LanguageModel
    abilities: Abilities
    known: bool = False
    """they were measured, or the user told them: what Ollama says of them does not count"""
    client: httpx2.AsyncClient
    connect: float = 10.0

    async def check(self) -> ModelCheck:
        """Never raises for what the provider does: the report says it."""
        began = time.perf_counter()
        found = await self._by_list()
        if found is None:
            found = await self._by_asking()
        elif found.present is False and self.target.provider in PROVIDERS:
            # Their lists come in pages and leave out other names of a model: a reply has the last word.
            asked = await self._by_asking()
            found = asked if asked.present or asked.authorised is False else found
        if found.reachable and found.present is not False:
            can = await self._shown_by_ollama() or self.abilities
            found = replace(found, tools=can.tools, json_schema=can.json_schema, images=can.images)
        return replace(found, local=self.target.local, seconds=time.perf_counter() - began)

    async def _by_list(self) -> ModelCheck | None:
        """None when the provider keeps no list that tells enough."""
        facts = self.target.facts
        if facts is None or not facts.models or not (facts.authorises or facts.key_path):
            return None
        try:
            reply = await self._get(facts.models)
            if facts.key_path and reply.status_code == 200:
                key = await self._get(facts.key_path)
                reply = reply if key.status_code == 200 else key
        except (EgressError, ProviderError) as error:
            return self._report(reachable=isinstance(error, ProviderError), problem=error.message, hint=error.hint)
        except httpx2.HTTPError as error:
            problem = f"{self.target.name} cannot be reached ({type(error).__name__})"
            return self._report(reachable=False, problem=problem, hint="start it, or check the connection")
        if reply.status_code in (401, 403):
            return self._refused(reply.status_code)
        if reply.status_code != 200:
            return None
        return self._listed(_names(reply))

    async def _shown_by_ollama(self) -> Abilities | None:
        """What Ollama says its model can do; None when it does not say."""
        if self.target.provider != "ollama":
            return None
        url = str(httpx2.URL(self.target.base_url).copy_with(path="/api/show"))
        try:
            reply = await self.client.post(url, json={"model": self.target.wire_name}, timeout=SECONDS)
            able = reply.raise_for_status().json()["capabilities"]
            tools = self.abilities.tools if self.known else "tools" in able
            return replace(self.abilities, tools=tools, images="vision" in able)
        except (httpx2.HTTPError, EgressError, ValueError, KeyError, TypeError):
            return None

    def _refused(self, status: int) -> ModelCheck:
        name = self.target.key_name
        without = name and not self.target.key
        hint = f"export {name}=…, or put it where the setting `secrets` says" if without else ""
        problem = f"{self.target.name} {'wants a' if without else 'refused the'} key (HTTP {status})"
        hint = hint or f"check {' or '.join(self.target.keys) or 'its key'} and what it may use"
        return self._report(reachable=True, authorised=False, problem=problem, hint=hint)

    def _listed(self, names: set[str] | None) -> ModelCheck | None:
        if names is None or self.target.provider == "portkey":
            return None if names is None else self._report(reachable=True, authorised=True)
        wanted = self.target.wire_name
        if wanted in names or f"{wanted}:latest" in names:
            return self._report(reachable=True, authorised=True, present=True)
        if self.target.provider == "huggingface" or wanted.partition(":")[0] in names:
            return self._report(reachable=True, authorised=True)
        pull = f"pull it: ollama pull {wanted}" if self.target.provider == "ollama" else "check its name"
        some = ", ".join(sorted(names)[:5])
        problem = f"{self.target.name} is not among the {len(names)} models there"
        return self._report(
            reachable=True, authorised=True, present=False, problem=problem, hint=f"{pull}; some that are: {some}"
        )

    async def _by_asking(self) -> ModelCheck:
        """A very short reply, which is entered in the ledger."""
        request = ChatRequest(
            messages=(Message.of(Role.USER, "Say ok."),),
            max_tokens=MAX_TOKENS,
            accounting=Accounting(purpose="check"),
            timeout=SECONDS,
        )
        try:
            await self.model.respond(request)
        except ProviderError as error:
            if error.kind in (Failure.MALFORMED, Failure.UNFIT):
                return self._report(reachable=True, authorised=True, present=True)
            return self._failed(error)
        except (ModelError, EgressError) as error:
            return self._failed(error)
        return self._report(reachable=True, authorised=True, present=True)

    def _failed(self, error: IntelForgeError) -> ModelCheck:
        code = error.error_code
        return self._report(
            reachable=code not in _UNREACHED,
            authorised=None if code in _UNREACHED else code is not ErrorCode.REFUSED,
            present=False if code is ErrorCode.MISSING_MODEL else None,
            problem=error.message,
            hint=error.hint,
        )

    async def _get(self, path: str) -> httpx2.Response:
        root = httpx2.URL(self.target.base_url)
        base = "" if path.startswith("//") else root.path.rstrip("/")
        url = root.copy_with(path=f"{base}/{path.lstrip('/')}")
        headers = {"anthropic-version": "2023-06-01"} if self.target.provider == "anthropic" else {}
        timeout = httpx2.Timeout(SECONDS, connect=self.connect)
        async with bound_client(self.target, self.client) as client:
            return await client.get(url, headers=headers, timeout=timeout)

    def _report(
        self,
        *,
        reachable: bool,
        authorised: bool | None = None,
        present: bool | None = None,
        problem: str = "",
        hint: str = "",
    ) -> ModelCheck:
        return ModelCheck(
            name=self.target.name,
            reachable=reachable,
            authorised=authorised,
            present=present,
            problem=problem,
            hint=hint,
        )


def unopened(name: str, error: IntelForgeError) -> ModelCheck:
    """The report of a model that could not even be asked: no key, no package, no such provider."""
    refused = False if error.error_code is ErrorCode.REFUSED else None
    return ModelCheck(name=name, authorised=refused, problem=error.message, hint=error.hint)


def _names(reply: httpx2.Response) -> set[str] | None:
    """The models of a list as OpenAI, Google, Cohere or Ollama write it; None when it is none."""
    try:
        body: Any = reply.json()
    except ValueError:
        return None
    rows = body if isinstance(body, list) else (body.get("data") or body.get("models")) if _is_row(body) else None
    if not isinstance(rows, list):
        return None
    names = [str(row.get("id") or row.get("name") or "") for row in rows if _is_row(row)]
    return {name.removeprefix("models/") for name in names if name}


def _is_row(value: object) -> bool:
    return isinstance(value, Mapping)
