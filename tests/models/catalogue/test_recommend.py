import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.model_reports import Preference
from intelforge.models.catalogue.machine import Graphics, Machine, measured_bandwidth, read_cards, this_machine
from intelforge.models.catalogue.memory import memory_of
from intelforge.models.catalogue.open_models import OPEN_MODELS, OpenModel
from intelforge.models.catalogue.quantisation import F16, MXFP4, Q4_K_M, Q8_0, quantisation_of
from intelforge.models.catalogue.recommend import FLOORS, recommend
from intelforge.models.catalogue.tags import DEFAULT_SIZES, read_local

GIGA = 1e9


def laptop(memory: float = 16.0, bandwidth: float = 50.0, graphics: tuple[Graphics, ...] = ()) -> Machine:
    return Machine(
        memory=memory * GIGA, usable=memory * 0.8 * GIGA, cores=8, bandwidth=bandwidth * GIGA, graphics=graphics
    )


def model(tag: str) -> OpenModel:
    return next(one for one in OPEN_MODELS if one.tag == tag)


@pytest.mark.parametrize(
    ("tag", "file_gb"),
    [
        ("qwen3:8b", 5.03),
        ("qwen3:32b", 19.76),
        ("llama3.2:3b", 2.02),
        ("phi4:14b", 8.89),
        ("gemma3:12b", 7.30),
        ("qwen3.5:9b", 5.68),
        ("granite4.1:8b", 5.35),
    ],
)
def test_weights_are_as_large_as_the_files_that_are_published(tag: str, file_gb: float) -> None:
    """Against the Q4_K_M files of the models' repositories of GGUF copies."""
    assert memory_of(model(tag), Q4_K_M, context=8192).weights / GIGA == pytest.approx(file_gb, rel=0.06)


@pytest.mark.parametrize(
    ("tag", "mebibytes"),
    [
        ("qwen3:8b", 1152),
        ("qwen3.5:9b", 256),
        ("llama3.1:8b", 1024),
        ("gemma3:27b", 1056),
        ("gemma4:e2b", 54),
        ("gemma4:31b", 1440),
        ("gpt-oss:20b", 195),
        ("ministral-3:14b", 1280),
    ],
)
def test_the_cache_counts_layers_heads_and_windows(tag: str, mebibytes: float) -> None:
    """At 8,192 tokens, worked out by hand from each `config.json`."""
    assert memory_of(model(tag), Q4_K_M, context=8192).cache / (1 << 20) == pytest.approx(mebibytes, rel=0.02)


def test_every_model_has_its_figures_and_its_source() -> None:
    assert len(OPEN_MODELS) >= 25
    assert len({one.tag for one in OPEN_MODELS}) == len(OPEN_MODELS)
    for one in OPEN_MODELS:
        assert one.repository.count("/") == 1
        assert one.licence
        assert one.read <= one.parameters
        assert all(min(part.layers, part.kv_heads, part.head_dimensions) > 0 for part in one.attention)
        assert read_local(one.tag).model is one
        assert one.tag.partition(":")[0] in DEFAULT_SIZES


@pytest.mark.parametrize(
    ("text", "found"),
    [("8b-q8_0", Q8_0), ("8b-instruct-fp16", F16), ("Q4_K_M", Q4_K_M), ("20b-mxfp4", MXFP4), ("8b", None), ("", None)],
)
def test_a_tag_says_its_quantisation(text: str, found: object) -> None:
    assert quantisation_of(text) == found


@pytest.mark.parametrize("preference", list(Preference))
def test_what_is_recommended_fits_and_is_quick_enough(preference: Preference) -> None:
    found = recommend(laptop(), preference)
    assert found.chosen is not None
    assert found.chosen.fits
    assert found.chosen.tokens_per_second >= FLOORS[preference]
    assert found.chosen.memory.total <= found.machine.usable
    assert not found.chosen.model.special


def test_speed_is_no_slower_and_quality_no_worse_than_balance() -> None:
    speed, balance, quality = (recommend(laptop(), one).chosen for one in Preference)
    assert speed is not None
    assert balance is not None
    assert quality is not None
    assert speed.tokens_per_second >= balance.tokens_per_second >= quality.tokens_per_second
    assert quality.quality >= balance.quality >= speed.quality


def test_more_memory_never_gives_a_worse_model() -> None:
    chosen = [recommend(laptop(memory), Preference.QUALITY).chosen for memory in (4, 8, 16, 32, 64)]
    qualities = [one.quality for one in chosen if one]
    assert len(qualities) == 5
    assert qualities == sorted(qualities)


def test_a_machine_too_small_for_any_is_told_so() -> None:
    found = recommend(laptop(0.5), Preference.BALANCE)
    assert found.chosen is None
    assert "none" in found.reason
    assert not any(one.fits for one in found.table)


def test_a_slow_machine_is_given_the_fastest_and_told_so() -> None:
    found = recommend(laptop(bandwidth=2.0), Preference.SPEED)
    assert found.chosen is not None
    assert "no model that fits writes 25" in found.reason
    assert found.chosen.tokens_per_second == max(one.tokens_per_second for one in found.table if one.fits)


def test_a_graphics_card_is_used_when_the_model_fits_it() -> None:
    card = Graphics(name="NVIDIA GeForce RTX 3090", memory=24 * GIGA, bandwidth=936 * GIGA)
    with_card = recommend(laptop(graphics=(card,)), Preference.BALANCE).chosen
    without = recommend(laptop(), Preference.BALANCE).chosen
    assert with_card is not None
    assert without is not None
    assert with_card.on_graphics
    assert with_card.quality > without.quality


def test_installed_models_are_marked_by_quantisation_too() -> None:
    found = recommend(laptop(), Preference.BALANCE, installed=["qwen3:8b-q4_K_M", "llama3.2"])
    marked = {one.model.tag: one.installed for one in found.table if one.installed}
    assert marked.get("qwen3:8b") == "qwen3:8b-q4_K_M"


def test_the_table_has_every_model_once_and_those_that_fit_first() -> None:
    table = recommend(laptop(), Preference.BALANCE).table
    assert {one.model.tag for one in table} == {one.tag for one in OPEN_MODELS}
    fits = [one.fits for one in table]
    assert fits == sorted(fits, reverse=True)


@given(context=st.integers(1, 200_000))
def test_a_longer_context_never_takes_less_memory(context: int) -> None:
    for one in OPEN_MODELS:
        shorter, longer = (memory_of(one, Q4_K_M, context=tokens) for tokens in (context, context + 1000))
        assert longer.total >= shorter.total


def test_cards_are_read_from_what_the_tool_prints() -> None:
    cards = read_cards("NVIDIA GeForce RTX 3090, 24576\nSome Card, with a comma, 8192\nfailed: no device\n\n")
    assert [(card.name, card.memory) for card in cards] == [
        ("NVIDIA GeForce RTX 3090", 24576 * (1 << 20)),
        ("Some Card, with a comma", 8192 * (1 << 20)),
    ]
    assert [card.bandwidth for card in cards] == [936e9, 0.0]


def test_bandwidth_is_measured() -> None:
    assert measured_bandwidth(seconds=0.0, size=1 << 20) > 1e6


async def test_memory_that_is_given_takes_the_place_of_what_is_measured() -> None:
    machine = await this_machine(memory_gb=6)
    assert machine.usable == 6 * GIGA
    assert machine.memory > 0
