"""The facts of providers are told where users look for them."""

from pathlib import Path

import httpx2
import pytest

from intelforge.core.settings import LANGUAGE_MODELS, Settings
from intelforge.models.failures import ADVICE, Failure
from intelforge.models.providers import PROVIDERS
from intelforge.testing import mock_model

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", sorted(PROVIDERS))
def test_each_provider_is_documented_with_its_keys_and_host(scheme: str) -> None:
    facts = PROVIDERS[scheme]
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{scheme}:"))
    assert facts.title in row
    assert all(f"`{key}`" in row for key in facts.keys)
    assert row.rstrip(" |").endswith(httpx2.URL(facts.base_url).host)


def test_each_provider_may_be_set() -> None:
    assert set(PROVIDERS) < set(LANGUAGE_MODELS)


def test_each_setting_of_language_models_is_documented() -> None:
    assert [name for name in Settings.model_fields if name.startswith("llm") and f"`{name}`" not in PAGE] == []


def test_each_fault_of_the_mock_is_documented() -> None:
    assert [fault for fault in (*mock_model.FAULTS, "stall") if f"`{fault}`" not in PAGE] == []


def test_each_failure_has_its_advice() -> None:
    assert set(ADVICE) == set(Failure)
