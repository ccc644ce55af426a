"""When a model is asked again, when it is left alone, and what a chain says when all of it failed."""

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from intelforge.core.errors import ErrorCode, IntelForgeError, ModelError
from intelforge.models.failures import Failure, ProviderError, failure

PATIENCE_WITH_OTHERS: Final = 2.0
"""Seconds: a model that wants to be left alone for longer is not waited for when another may answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and when the same model is asked again: exponential backoff with full jitter."""

    retries: int = 2
    first: float = 0.5
    """seconds; doubled with each retry"""
    most: float = 8.0
    jitter: Callable[[], float] = random.random

    def wait(self, error: IntelForgeError, *, retries: int, remaining: float, others: bool) -> float | None:
        """Seconds until the next attempt, None when the same model is not asked again.

        `retries` have been made so far, `remaining` seconds are left, and `others` says whether another may answer.
        """
        if not isinstance(error, ProviderError) or not error.advice.again or error.partial or retries >= self.retries:
            return None
        asked = error.retry_after or 0.0
        delay = max(asked, min(self.most, self.first * 2.0**retries) * self.jitter())
        if delay >= remaining or (others and asked > PATIENCE_WITH_OTHERS):
            return None
        return delay


@dataclass(slots=True, kw_only=True)
class CircuitBreaker:
    """Leaves a model alone that fails again and again, and then lets one request see whether it is well.

    Shared by all calls of a process to that model.
    """

    name: str
    failures: int = 5
    """within `window` seconds open it"""
    window: float = 30.0
    rest: float = 15.0
    """seconds until the first request is let through"""
    timer: Callable[[], float] = time.monotonic
    _failed: deque[float] = field(default_factory=deque)
    _opened: float | None = None
    _probing: bool = False

    @property
    def open(self) -> bool:
        """Whether a request would be refused now."""
        return self._opened is not None and (self._probing or self.timer() < self._opened + self.rest)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around one attempt. Raises ProviderError when the model is left alone, and learns from what comes of it."""
        if self.open:
            raise self._resting()
        probe = self._opened is not None
        self._probing = self._probing or probe
        try:
            yield
        except ProviderError as error:
            if error.advice.ill:
                self._note_failure(probe=probe)
            elif probe:
                self._close()
            raise
        else:
            self._close()
        finally:
            self._probing = self._probing and not probe

    def succeeded(self) -> None:
        """The model has given a whole reply."""
        self._close()

    def _note_failure(self, *, probe: bool) -> None:
        now = self.timer()
        self._failed.append(now)
        while self._failed and self._failed[0] < now - self.window:
            self._failed.popleft()
        if probe or len(self._failed) >= self.failures:
            self._opened = now

    def _close(self) -> None:
        self._failed.clear()
        self._opened = None

    def _resting(self) -> ProviderError:
        left = max(0.0, (self._opened or 0.0) + self.rest - self.timer())
        return failure(
            Failure.RESTING,
            f"{self.name} failed again and again and is left alone for {left:.0f} s",
            hint="wait, or name another model after it in llm",
            retry_after=left,
        )


def broken_off(error: ProviderError) -> ProviderError:
    """The same failure, told by one who has given out a part of the reply."""
    told = failure(
        error.kind,
        f"{error.message}, after a part of the reply had come",
        hint=error.hint or "ask again",
        retry_after=error.retry_after,
    )
    told.partial = True
    return told


def all_failed(errors: Sequence[IntelForgeError]) -> IntelForgeError:
    """One error for a chain of which no model answered: the only one, or the sum of them.

    The sum may be tried again when the first of its models may.
    """
    if len(errors) == 1:
        return errors[0]
    kinds = {type(error) for error in errors}
    kind = kinds.pop() if len(kinds) == 1 and ProviderError not in kinds else ModelError
    codes = {error.error_code for error in errors}
    code = codes.pop() if len(codes) == 1 else ErrorCode.MODEL_FAILED
    hints = dict.fromkeys(error.hint for error in errors if error.hint)
    sum_ = kind(
        f"none of {len(errors)} models answered: " + "; ".join(error.message for error in errors),
        hint=next(iter(hints), "name another model in llm"),
        code=code,
    )
    if isinstance(sum_, ModelError):
        waits = [error.retry_after for error in errors if isinstance(error, ModelError) and error.retry_after]
        sum_.retry_after = min(waits, default=None)
    return sum_
