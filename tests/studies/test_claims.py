"""Claims: one UID is decided once at a time, whoever brings it, and nobody waits for what could be hurried."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from waiting import until

from node.studies.claims import Claims


def begun(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_a_released_uid_may_be_claimed_again_and_others_at_any_time() -> None:
    claims = Claims()
    claims.claim("1.2")
    claims.claim("1.3")
    claims.release("1.2")
    claims.claim("1.2")
    claims.release("1.2")
    claims.release("1.3")
    claims.claim("1.3")


def test_who_comes_second_waits_until_the_first_has_decided() -> None:
    claims, order = Claims(), []
    claims.claim("1.2")

    def come_second() -> None:
        claims.claim("1.2")
        order.append("second")

    second = begun(come_second)
    until(lambda: claims._changed._waiters)  # type: ignore[attr-defined]
    order.append("first")
    claims.release("1.2")
    second.join(20)
    assert order == ["first", "second"]


def test_who_comes_second_hurries_what_was_postponed() -> None:
    claims, hurried = Claims(), []
    claims.claim("1.2")

    def hurry() -> None:
        hurried.append(True)
        if len(hurried) == 3:  # it may take more than one call
            claims.release("1.2")

    claims.postpone("1.2", hurry)
    claims.claim("1.2")
    assert len(hurried) == 3


def test_who_waits_hears_that_it_was_postponed() -> None:
    claims = Claims()
    claims.claim("1.2")
    second = begun(lambda: claims.claim("1.2"))
    until(lambda: claims._changed._waiters)  # type: ignore[attr-defined]
    claims.postpone("1.2", lambda: claims.release("1.2"))
    second.join(20)
    assert not second.is_alive()


def test_what_hurrying_raises_is_raised_and_the_claim_stays_as_it_was() -> None:
    claims = Claims()

    def refuse() -> None:
        raise ZeroDivisionError

    claims.claim("1.2")
    claims.postpone("1.2", refuse)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            claims.claim("1.2")
