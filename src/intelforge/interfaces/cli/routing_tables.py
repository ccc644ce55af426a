"""What the router knows, and what a replay found, for reading."""

from rich.console import Group, RenderableType
from rich.text import Text

from intelforge.core.routing import Estimate, Replay, RouterStatus
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.tables import new_table
from intelforge.interfaces.cli.wording import amount, duration


def render_router(found: RouterStatus) -> RenderableType:
    """A row for each model, best first, and how the router behaves."""
    if not found.models:
        return Text("No request has gone through the router yet. To use it: intelforge config set llm router:")
    table = new_table("Model", numbers=("Quality", "At first", "Change", "Latency", "$/M in, out", "Judged"))
    for one in sorted(found.models, key=lambda one: (not one.candidate, -one.quality)):
        table.add_row(
            Text(one_line(one.model), overflow="fold", style="" if one.candidate else "dim"),
            f"{one.quality:.2f}",
            f"{one.prior:.2f}",
            f"{one.shift:+.2f}" if one.shift else "–",
            duration(one.latency),
            "free" if one.local else f"{one.input_price:g}, {one.output_price:g}",
            f"{one.judged:,}",
        )
    if found.frozen:
        state = "Frozen: it learns nothing and tries nothing out. To go on: intelforge router unfreeze"
    else:
        state = (
            f"It learns, and may give {found.exploration_share:.0%} of the calls, at up to "
            f"{found.exploration_cost_share:.0%} of the money, to models it wants to know better."
        )
    spent = f"Preference {one_line(found.preference)}; {amount(found.requests, 'requests')} remembered"
    return Group(
        table, Text(f"{spent}; ${found.spent_exploring:.4f} of ${found.spent:.4f} went to trying out."), Text(state)
    )


def render_replay(found: Replay) -> RenderableType:
    """A row for each policy, the best by the doubly robust estimate first; then what the log alone says of each."""
    best = new_table("Policy", numbers=("Doubly robust", "$ a call", "Agreed", "Worth"))
    alone = new_table("By the log alone", numbers=("Normalised IPS", "IPS"))
    for one in sorted(found.policies, key=lambda one: -one.doubly_robust.value):
        name = Text(one_line(one.policy), overflow="fold")
        counts = f"{one.agreed:,}", f"{one.effective:,.0f}"
        best.add_row(name, _with_interval(one.doubly_robust), f"{one.cost.value:.2g}", *counts)
        alone.add_row(name, _with_interval(one.normalised), _with_interval(one.ips))
    cost = f" at ${found.logged_cost.value:.2g} each" if found.logged_cost else ""
    logged = f"{amount(found.calls, 'judged calls')} scored {_with_interval(found.logged)}{cost}."
    meaning = (
        "In brackets the 95 % interval. Agreed: calls that the policy would have given to the same model; worth: how "
        "many calls its estimate by IPS rests on. Where that is small, look at the doubly robust one alone."
    )
    notes = [Text(f"Note: {one_line(note)}", style="yellow") for note in found.notes]
    return Group(Text(logged), Text(), best, Text(), alone, Text(), *notes, Text(meaning, style="dim"))


def _with_interval(one: Estimate) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
