"""Reading the URL of a language model."""

import pytest

from intelforge.core.errors import ConfigError, ErrorCode, IntelForgeError, ModelError
from intelforge.models.key_binding import key_headers
from intelforge.models.providers import PROVIDERS
from intelforge.models.targets import Target, hosts_of, read_target, split_chain

KEY = "sk-verysecret-0123456789"


@pytest.mark.parametrize(
    "url",
    [
        "ollama:",
        "openai: ",
        "portkey:@openai",
        "portkey:@/gpt",
        "http://127.0.0.1:1/v1",
        "http://me:pw@host/v1#m",
        "http://#m",
        "http://[::1/#m",
    ],
)
def test_a_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_target(url, environment={"OPENAI_API_KEY": KEY, "PORTKEY_API_KEY": KEY})
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["fast", ":fast"])
def test_a_name_without_a_scheme_is_refused(url: str) -> None:
    with pytest.raises(IntelForgeError):
        read_target(url, environment={})


def test_local_models_cost_nothing_and_others_do() -> None:
    local = ["ollama:qwen3:8b", "http://localhost:8000/v1#m", "http://[::1]:8000/v1#m"]
    assert all(read_target(url, environment={}).local for url in local)
    priced = ["ollama:gpt-oss:120b-cloud", "https://models.example.com/v1#m", "openai:gpt-4o-mini"]
    assert not any(read_target(url, environment={"OPENAI_API_KEY": KEY}).local for url in priced)


def test_a_key_is_not_shown() -> None:
    assert KEY not in repr(read_target("openai:gpt-4o-mini", environment={"OPENAI_API_KEY": KEY}))


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("auto", ("127.0.0.1:11434",)),
        ("ollama:qwen3", ("127.0.0.1:11434",)),
        ("http://box.local/v1#m", ("box.local:80",)),
        ("https://[fd00::1]/v1#m", ("[fd00::1]:443",)),
        ("openai:gpt-4o-mini", ()),
        ("none:", ()),
    ],
)
def test_tells_which_hosts_the_url_means(url: str, hosts: tuple[str, ...]) -> None:
    assert hosts_of(url, environment={}) == hosts


def test_a_target_is_named_by_provider_and_model() -> None:
    assert Target(url="x", provider="ollama", model="qwen3:8b").name == "ollama:qwen3:8b"


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("openai:gpt-x, anthropic:y ,ollama:z:8b", ("openai:gpt-x", "anthropic:y", "ollama:z:8b")),
        ("openai:gpt-x,auto", ("openai:gpt-x", "auto")),
        ("mock:Yes, it is, really.", ("mock:Yes, it is, really.",)),
        ("http://a:1/v1#m, https://b/v1#n", ("http://a:1/v1#m", "https://b/v1#n")),
        ("auto", ("auto",)),
    ],
)
def test_a_chain_is_parted_at_commas_before_urls(url: str, urls: tuple[str, ...]) -> None:
    assert split_chain(url) == urls


def test_none_is_no_part_of_a_chain() -> None:
    with pytest.raises(ConfigError):
        split_chain("none:, openai:gpt-x")


def test_all_hosts_of_a_chain_are_told() -> None:
    url = "http://box:81/v1#m, openai:gpt-x, ollama:qwen3"
    assert hosts_of(url, environment={}) == ("box:81", "127.0.0.1:11434")


@pytest.mark.parametrize("scheme", sorted(PROVIDERS))
def test_each_provider_has_its_address_and_sends_its_key_in_its_header(scheme: str) -> None:
    environment = {PROVIDERS[scheme].keys[-1]: f" {KEY} "}
    target = read_target(f"{scheme}:@vendor/name", environment=environment)
    assert target.base_url.startswith("https://")
    assert target.name == f"{scheme}:@vendor/name"
    headers = key_headers(target)
    assert headers[PROVIDERS[scheme].header].removeprefix("Bearer ") == KEY


def test_an_ollama_elsewhere_is_not_local() -> None:
    assert not read_target("ollama:qwen3", environment={"OLLAMA_HOST": "http://gpu.example.com:11434"}).local


def test_portkey_spends_the_virtual_key_that_is_named() -> None:
    environment = {"PORTKEY_API_KEY": KEY, "PORTKEY_VIRTUAL_KEY": "openai-1a2b3c"}
    plain = key_headers(read_target("portkey:gpt-x", environment=environment))
    assert plain == {"x-portkey-api-key": KEY, "x-portkey-virtual-key": "openai-1a2b3c"}
    named = key_headers(read_target("portkey:@team/gpt-x", environment=environment))
    assert named == {"x-portkey-api-key": KEY, "x-portkey-provider": "@team"}
    with pytest.raises(ModelError) as caught:
        read_target("portkey:gpt-x", environment={"PORTKEY_API_KEY": KEY})
    assert caught.value.error_code is ErrorCode.REFUSED
    assert "PORTKEY_VIRTUAL_KEY" in caught.value.hint
