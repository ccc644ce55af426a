"""A model as it is: without a chain, without what is done around it, without a kept reply. For measuring it."""

from intelforge.models.endpoint import Endpoint
from intelforge.models.gateway import Gateway, open_client
from intelforge.models.gateway_model import Behaviour, Candidate, GatewayModel
from intelforge.models.resilience import CircuitBreaker, RetryPolicy
from intelforge.models.targets import Target


def direct_model(gateway: Gateway, target: Target, *, retries: int = 0) -> GatewayModel:
    """The model of a target. Its calls go through the gateway's ledger and connections."""
    limits = gateway.options.limits
    endpoint = Endpoint(
        name=target.name,
        provider=target.provider,
        model=target.model,
        local=target.local,
        client=open_client(target, gateway.client, connect=limits.connect, secrets=gateway.keys),
        ledger=gateway.ledger,
        prices=gateway.prices,
        limits=limits,
    )
    candidate = Candidate(target.url, endpoint, CircuitBreaker(name=target.name, failures=1 << 30))
    behaviour = Behaviour(timeout=limits.total, retry=RetryPolicy(retries=retries))
    return GatewayModel(name=target.name, candidates=(candidate,), behaviour=behaviour)
