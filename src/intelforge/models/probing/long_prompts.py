"""Prompts of a given length with one fact near their beginning: what a server cuts away first."""

from typing import Final

from intelforge.core.chat import ChatRequest, ChatResponse, Message, Role
from intelforge.core.model_reports import Skill
from intelforge.models.probing.tasks import Task
from intelforge.models.window.counting import TokenCounter

FIRST: Final = 1024
"""tokens of the shortest"""
REPLY: Final = 512
"""tokens kept free for the reply, thinking included"""
DEPTH: Final = 0.1
"""where the fact stands, as a share of the prompt"""
TOPICS: Final = ("harbour", "library", "orchard", "station", "workshop", "market", "observatory", "quarry")


def sizes(most: int) -> list[int]:
    """Doubling up to the most tokens that may be tried, and that itself."""
    found = []
    size = FIRST
    while size < most:
        found.append(size)
        size *= 2
    return [*found, most]


def long_prompt(tokens: int, counter: TokenCounter) -> Task:
    """A prompt of about so many tokens, and whether the fact in it was found."""
    code = str(7_000 + tokens * 7919 % 2_000)
    fact = f"The code of the northern gate is {code}."
    question = "What is the code of the northern gate? Reply with the number alone."
    each = counter.text(_line(1)).tokens + 1
    room = tokens - REPLY - counter.text(f"{fact}{question}").at_most - 64
    lines = [_line(number) for number in range(max(1, room // each))]
    lines.insert(round(len(lines) * DEPTH), fact)
    text = "\n".join([*lines, "", question])
    request = ChatRequest(messages=(Message.of(Role.USER, text),), temperature=0.0, max_tokens=REPLY)

    def check(reply: ChatResponse) -> str:
        return "" if code in reply.text else f"not found in a prompt of {tokens:,} tokens"

    return Task(skill=Skill.CONTEXT, request=request, check=check)


def _line(number: int) -> str:
    topic = TOPICS[number % len(TOPICS)]
    return f"Note {number}: the {topic} was visited by {number % 90 + 10} people, and nothing else happened there."
