import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from intelforge.core.chat import ChatRequest, Message, Role
from intelforge.core.errors import ConfigError, ErrorCode, ModelError, StorageError
from intelforge.core.model_reports import Profile, Skill, Trial
from intelforge.models.catalogue.catalogue import REFRESHED_SECONDS, Catalogue
from intelforge.models.catalogue.facts import Modality, Prices
from intelforge.models.catalogue.fitting import CatalogueWindow
from intelforge.models.catalogue.overrides import read_overrides
from intelforge.models.catalogue.profile import from_json, to_json

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass
class MemoryProfiles:
    kept: dict[str, Profile] = field(default_factory=dict)
    reads: int = 0
    away: bool = False

    async def keep(self, profile: Profile) -> None:
        self.kept[profile.model] = profile

    async def all(self) -> list[Profile]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise StorageError("the database is gone")
        return list(self.kept.values())


def profile(model: str, *trials: Trial, usable: int | None = None, lost: int | None = None) -> Profile:
    return Profile(
        model=model,
        at=AT,
        trials=trials,
        first_token_seconds=0.2,
        tokens_per_second=30.0,
        context_usable=usable,
        context_lost=lost,
    )


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(environment={})


def test_a_hosted_model_has_window_prices_and_abilities(catalogue: Catalogue) -> None:
    facts = catalogue.facts("openai:gpt-4o")
    assert facts.known
    assert facts.context_window == 128_000
    assert Modality.IMAGE in facts.modalities
    assert facts.abilities.tools
    assert facts.prices == Prices(
        input=2_500_000_000, output=10_000_000_000, cache_read=1_250_000_000, cache_write=None, tiered=False
    )


def test_the_same_model_is_found_at_another_provider(catalogue: Catalogue) -> None:
    facts = catalogue.facts("openrouter:openai/gpt-4o")
    assert facts.context_window == 128_000
    assert facts.abilities.json_schema


def test_prices_that_depend_on_the_prompt_are_marked(catalogue: Catalogue) -> None:
    prices = catalogue.facts("gemini:gemini-2.5-pro").prices
    assert prices is not None
    assert prices.tiered
    assert prices.input == 1_250_000_000


@pytest.mark.parametrize(
    ("name", "tag", "quantisation"),
    [
        ("ollama:qwen3:8b", "qwen3:8b", "q4_K_M"),
        ("ollama:qwen3", "qwen3:8b", "q4_K_M"),
        ("ollama:qwen3:latest", "qwen3:8b", "q4_K_M"),
        ("ollama:qwen3:8b-q8_0", "qwen3:8b", "q8_0"),
        ("ollama:library/llama3.2:1b-instruct-fp16", "llama3.2:1b", "fp16"),
        ("ollama:gemma3:27b-it-q4_K_M", "gemma3:27b", "q4_K_M"),
        ("ollama:gpt-oss:20b", "gpt-oss:20b", "mxfp4"),
        ("ollama:someone/qwen3:8b", "qwen3:8b", "q4_K_M"),
        ("ollama:hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q6_K", "llama3.2:3b", "q6_K"),
        ("ollama:hf.co/unsloth/Qwen3-0.6B-GGUF:Q4_0", "qwen3:0.6b", "q4_K_M"),
        ("ollama:deepseek-r1:14b", "deepseek-r1:14b", "q4_K_M"),
    ],
)
def test_an_ollama_tag_says_model_and_quantisation(
    catalogue: Catalogue, name: str, tag: str, quantisation: str
) -> None:
    facts = catalogue.facts(name)
    assert facts.open_model is not None
    assert facts.quantisation is not None
    assert (facts.open_model.tag, facts.quantisation.name) == (tag, quantisation)
    assert facts.local
    assert facts.prices == Prices(input=0, output=0, cache_read=0, cache_write=0)


@pytest.mark.parametrize("name", ["ollama:my-own:13b", "ollama:qwen3:9b", "elsewhere:something", "nothing"])
def test_a_model_nobody_knows_has_no_invented_facts(catalogue: Catalogue, name: str) -> None:
    facts = catalogue.facts(name)
    assert not facts.known
    assert facts.context_window is None
    assert facts.abilities.tools is None


def test_a_model_that_ollama_runs_in_its_cloud_is_not_local(catalogue: Catalogue) -> None:
    assert not catalogue.facts("ollama:gpt-oss:120b-cloud").local


def test_ollama_serves_no_more_than_it_is_set_to() -> None:
    catalogue = Catalogue(environment={"OLLAMA_CONTEXT_LENGTH": "16384"})
    assert catalogue.facts("ollama:qwen3:8b").context_window == 16_384
    assert catalogue.facts("ollama:unheard-of").context_window == 16_384
    assert catalogue.facts("openai:gpt-4o").context_window == 128_000


def test_a_file_takes_the_place_of_what_is_built_in(tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    file.write_text('{"openai:gpt-4o": {"input_usd_per_million": 0.0125, "tools": false, "context_window": 1000}}')
    facts = Catalogue(overrides=read_overrides(file)).facts("openai:gpt-4o")
    assert facts.context_window == 1000
    assert facts.abilities.tools is False
    assert facts.abilities.json_schema is True
    assert facts.prices is not None
    assert (facts.prices.input, facts.prices.output) == (12_500_000, 10_000_000_000)
    assert facts.origins[0] == "model_facts"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON"),
        ('{"a:b": {"context_windo": 1}}', "a:b → context_windo"),
        ('{"a:b": {"input_usd_per_million": -1}}', "a:b → input_usd_per_million"),
        ("[]", "the file"),
    ],
)
def test_a_wrong_file_is_named_with_the_place(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "facts.json"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_overrides(file)
    assert str(file) in raised.value.message
    assert told in raised.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"facts\.json cannot be read"):
        read_overrides(tmp_path / "facts.json")


async def test_what_was_measured_takes_the_place_of_what_is_built_in() -> None:
    trials = (
        Trial(skill=Skill.TOOL_CALL, tries=2, passed=0, detail="no call"),
        Trial(skill=Skill.SCHEMA, tries=2, passed=2),
    )
    measured = profile("ollama:qwen3:8b", *trials, usable=3000, lost=6000)
    catalogue = Catalogue(profiles=MemoryProfiles({measured.model: measured}), environment={})
    abilities = (await catalogue.measured_facts("ollama:qwen3:8b")).abilities
    assert (abilities.tools, abilities.json_schema) == (False, True)
    assert abilities.origin == "measured 2026-01-31"
    assert (await catalogue.measured_facts("ollama:qwen3:8b")).context_window == 3000


async def test_a_window_that_was_not_seen_to_end_is_left_as_it_is() -> None:
    measured = profile("ollama:qwen3:8b", usable=3000)
    catalogue = Catalogue(profiles=MemoryProfiles({measured.model: measured}), environment={})
    assert (await catalogue.measured_facts("ollama:qwen3:8b")).context_window == 40_960


def test_a_profile_survives_being_stored() -> None:
    measured = profile("a:b", Trial(skill=Skill.CITES, tries=2, passed=1, detail="[2]"), usable=5)
    assert from_json(to_json(measured)) == measured


async def test_requests_are_fitted_to_the_window_of_their_model(tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    file.write_text('{"mock:small": {"context_window": 100}}')
    window = CatalogueWindow(catalogue=Catalogue(overrides=read_overrides(file), environment={}))
    request = ChatRequest(messages=tuple(Message.of(Role.USER, "word " * 30) for _ in range(5)), max_tokens=20)
    fitted, notes = await window.fit(request, model="mock:small")
    assert len(fitted.messages) < 5
    assert "left out to fit mock:small" in notes[0]
    assert await window.fit(request, model="elsewhere:unknown") == (request, ())
    long = ChatRequest(messages=(Message.of(Role.USER, "word " * 300),))
    with pytest.raises(ModelError) as raised:
        await window.fit(long, model="mock:small")
    assert raised.value.error_code is ErrorCode.TOO_LARGE


async def test_a_prompt_that_ollama_may_cut_is_told_unless_the_window_was_measured() -> None:
    request = ChatRequest(messages=(Message.of(Role.USER, "word " * 9000),))
    unsure = CatalogueWindow(catalogue=Catalogue(environment={}))
    _, notes = await unsure.fit(request, model="ollama:qwen3:8b")
    assert any("OLLAMA_CONTEXT_LENGTH" in note for note in notes)
    measured = profile("ollama:qwen3:8b", usable=16_000)
    sure = CatalogueWindow(catalogue=Catalogue(profiles=MemoryProfiles({measured.model: measured}), environment={}))
    assert await sure.fit(request, model="ollama:qwen3:8b") == (request, ())
    longer = ChatRequest(messages=(Message.of(Role.USER, "word " * 20_000),))
    _, notes = await sure.fit(longer, model="ollama:qwen3:8b")
    assert any("cut it at 16,000" in note for note in notes)


async def test_ollama_may_cut_a_prompt_for_a_model_that_nobody_knows_too() -> None:
    request = ChatRequest(messages=(Message.of(Role.USER, "word " * 9000),))
    nothing = profile("ollama:my-own")
    for profiles in ({}, {nothing.model: nothing}):
        window = CatalogueWindow(catalogue=Catalogue(profiles=MemoryProfiles(profiles), environment={}))
        kept, notes = await window.fit(request, model="ollama:my-own")
        assert kept == request
        assert any("OLLAMA_CONTEXT_LENGTH" in note for note in notes)
        assert await window.fit(request, model="ollama:my-own-cloud") == (request, ())
        assert await window.fit(ChatRequest(messages=request.messages[:0]), model="ollama:my-own") == (
            ChatRequest(messages=()),
            (),
        )


async def test_what_another_process_measured_is_read_after_a_while_and_once_for_all_who_ask() -> None:
    store, time = MemoryProfiles(), [0.0]
    catalogue = Catalogue(profiles=store, environment={}, now=lambda: time[0])
    name = "ollama:my-own:13b"
    assert (await catalogue.measured_facts(name)).abilities.tools is None
    measured = profile(name, Trial(skill=Skill.TOOL_CALL, tries=2, passed=0), usable=2000, lost=3000)
    store.kept[name] = measured  # by another process
    time[0] = REFRESHED_SECONDS - 1
    await asyncio.gather(*(catalogue.load() for _ in range(9)))
    assert (catalogue.abilities(name), store.reads) == (None, 1)
    time[0] = REFRESHED_SECONDS
    await asyncio.gather(*(catalogue.load() for _ in range(9)))
    assert store.reads == 2
    facts = await catalogue.measured_facts(name)
    assert (facts.abilities.tools, facts.context_window) == (False, 2000)
    able = catalogue.abilities(name)
    assert able
    assert not able.tools


async def test_while_the_store_is_away_what_was_read_before_counts() -> None:
    measured = profile("ollama:my-own:13b")
    store, time = MemoryProfiles({measured.model: measured}), [0.0]
    catalogue = Catalogue(profiles=store, environment={}, now=lambda: time[0])
    store.away = True
    with pytest.raises(StorageError):
        await catalogue.load()
    store.away = False
    await catalogue.load()
    store.away, time[0] = True, 2 * REFRESHED_SECONDS
    assert await catalogue.profile(measured.model) == measured
