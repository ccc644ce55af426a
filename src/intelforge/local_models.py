"""Models on this machine, for which no workspace is needed: embedding models, and which language model fits."""

from collections.abc import Callable

from intelforge.core.model_reports import ModelInfo, ModelRecommendation, Preference
from intelforge.core.reports import Progress, Stage
from intelforge.security.egress import Egress

Report = Callable[[Progress], None]


async def pull_model(name: str, *, report: Report | None = None) -> ModelInfo:
    """Brings a model's weights here and checks them. Raises ModelError when no way worked."""
    from intelforge.index import weights

    def told(here: int, total: int) -> None:
        if report:
            report(Progress(stage=Stage.LISTING, done=here, total=total, unit="bytes", detail=name))

    async with Egress() as egress, egress.client() as client:
        cache = weights.cache_folder()
        await weights.pull(name, cache=cache, client=client, report=told)
        return next(model for model in weights.list_models(cache=cache) if model.name == name)


def list_models() -> list[ModelInfo]:
    """Every local model and whether its weights are here."""
    from intelforge.index import weights

    return weights.list_models(cache=weights.cache_folder())


async def recommend_model(
    preference: Preference, *, memory_gb: float | None = None, context: int | None = None
) -> ModelRecommendation:
    """Which local language model fits this machine, `memory_gb` of which it may use, for so many tokens of context.

    Raises InvalidInputError for what makes no sense.
    """
    from intelforge import modelling

    wanted = modelling.CONTEXT if context is None else context
    return await modelling.recommend_model(preference, memory_gb=memory_gb, context=wanted)
