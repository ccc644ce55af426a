"""What URLs of embedders and rerankers have in common: servers of one's own, and the keys of services."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx2

from intelforge.core.errors import ConfigError, ErrorCode, ModelError
from intelforge.index.model_context import ModelContext
from intelforge.security.servers import server_key, server_name

PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSetting:
    """A setting that names a model by a URL."""

    name: str
    server_key: str
    """what the name of the key of a server of one's own begins with, if it wants one; the host follows"""
    form: str
    """of the URL of such a server"""

    def place(self, url: str) -> httpx2.URL:
        """The URL of a server; ConfigError when it has no host, or a password that belongs elsewhere."""
        try:
            place = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise ConfigError(f"the {self.name} is not a valid URL", hint=f"write it as {self.form}") from error
        if place.scheme not in PORTS or not place.host or place.userinfo:
            raise ConfigError(
                f"the {self.name} must be an http or https URL with a host and without a password",
                hint=f"write it as {self.form} and put the key into {self.server_key}_HOST",
            )
        return place

    def host(self, url: str) -> str:
        """The `host:port` of a server that the user named, which may be a private one: for egress to allow."""
        place = self.place(url)
        host = f"[{place.host}]" if ":" in place.host else place.host
        return f"{host}:{place.port or PORTS[place.scheme]}"

    def key_of_server(self, url: str, context: ModelContext) -> str:
        """The key of a server, empty when there is none; ModelError REFUSED when it would go over plain http."""
        return server_key(self.server_key, self.place(url), context.environment, allow_hosts=context.allow_hosts)

    def called(self, url: str, model: str) -> str:
        """A server's model as the ledger has it: servers may have models of the same name."""
        return f"{server_name(self.place(url))}/{model or 'unnamed'}"

    def key_of(self, provider: str, variables: Sequence[str], environment: Mapping[str, str]) -> str:
        """The provider's key, from the first of these variables that is set; ModelError REFUSED when none is."""
        for variable in variables:
            if key := environment.get(variable, "").strip():
                return key
        raise ModelError(
            f"the {self.name} {provider!r} needs a key, and {' or '.join(variables)} is not set",
            hint=f"export {variables[0]}=…, put it where the setting `secrets` says, "
            f"or run: intelforge config set {self.name} none:",
            code=ErrorCode.REFUSED,
        )


def shown(place: httpx2.URL) -> str:
    """Without query and fragment, and without a slash at the end."""
    return str(place.copy_with(query=None, fragment=None)).rstrip("/")
