"""Reading the URL of a language model."""

import pytest

from intelforge.core.errors import ConfigError, IntelForgeError
from intelforge.models.targets import Target, hosts_of, named, read_target, split_chain


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
        read_target(url, environment={})
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["fast", ":fast"])
def test_a_name_without_a_scheme_is_refused(url: str) -> None:
    with pytest.raises(IntelForgeError):
        read_target(url, environment={})


def test_local_models_cost_nothing_and_others_do() -> None:
    local = ["ollama:qwen3:8b", "http://localhost:8000/v1#m", "http://[::1]:8000/v1#m"]
    assert all(read_target(url, environment={}).local for url in local)
    priced = ["ollama:gpt-oss:120b-cloud", "https://models.example.com/v1#m", "openai:gpt-4o-mini"]
    assert not any(read_target(url, environment={}).local for url in priced)


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


def test_an_ollama_elsewhere_is_not_local() -> None:
    assert not read_target("ollama:qwen3", environment={"OLLAMA_HOST": "http://gpu.example.com:11434"}).local


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://gpu.lan:8000/v1#qwen3", "compatible:gpu.lan:8000/qwen3"),
        ("https://Models.example.com/v1#org/tiny", "compatible:models.example.com/org/tiny"),
        ("https://models.example.com/team/v1#tiny", "compatible:models.example.com/team/tiny"),
        ("http://models.example.com/v1#tiny", "compatible:models.example.com:80/tiny"),
        ("http://[::1]:8000/v1#tiny", "compatible:[::1]:8000/tiny"),
    ],
)
def test_a_compatible_model_is_known_by_its_server_and_asked_by_its_own_name(url: str, name: str) -> None:
    target = read_target(url, environment={})
    assert target.name == named(url) == name
    assert target.wire_name == url.partition("#")[2]


def test_a_name_stays_as_it_is_and_must_say_its_server() -> None:
    for name in ("openai:gpt-x", "compatible:gpu.lan:8000/tiny", "mock:"):
        assert named(name) == name
    assert named(" OpenAI: gpt-x ") == read_target("OpenAI: gpt-x", environment={}).name == "openai:gpt-x"
    with pytest.raises(ConfigError, match=r"'compatible:tiny' does not say on which server; .*http://HOST/v1#tiny"):
        named("compatible:tiny")
    for name in ("tiny", ":tiny", "openai:"):
        with pytest.raises(ConfigError, match=f"'{name}' names no provider; write it as PROVIDER:MODEL"):
            named(name)


def test_a_model_of_gemini_may_be_named_as_google_lists_it() -> None:
    listed, plain = (read_target(f"gemini:{name}", environment={}) for name in ("models/gemini-x", "gemini-x"))
    assert (listed.name, listed.wire_name) == (plain.name, plain.wire_name)
