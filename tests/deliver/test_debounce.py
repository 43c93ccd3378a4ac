"""A lone change goes at once, a burst in a few parts, and the last state always."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from northgate.deliver.debounce import Debounce, Windows, changed, published

WINDOWS = Windows(quiet=0.01, cap=0.1)


def test_a_lone_change_waits_for_nothing() -> None:
    state = changed(Debounce(WINDOWS), 5.0)
    assert state.due() == 5.0
    state = published(state, 5.0)
    assert state.due() is None
    assert changed(state, 6.0).due() == 6.0


def test_a_change_right_behind_another_waits_for_quiet() -> None:
    state = published(changed(Debounce(WINDOWS), 5.0), 5.0)
    assert changed(state, 5.002).due() == pytest.approx(5.012)


def test_a_burst_is_published_at_the_cap() -> None:
    state = published(changed(Debounce(WINDOWS), 0.0), 0.0)
    now = 0.0
    while now < 0.2:
        now += 0.005
        state = changed(state, now)
        due = state.due()
        assert due is not None
        if due <= now:
            break
    assert now == pytest.approx(0.105)


@given(st.lists(st.floats(0.0, 0.05), max_size=300))
def test_no_change_waits_longer_than_the_cap_and_none_is_lost(gaps: list[float]) -> None:
    state, now, pushes, waiting = Debounce(WINDOWS), 0.0, 0, None
    for gap in gaps:
        now += gap
        due = state.due()
        if due is not None and due <= now:
            assert waiting is not None
            assert due - waiting <= WINDOWS.cap + 1e-9
            state, pushes, waiting = published(state, due), pushes + 1, None
        state = changed(state, now)
        waiting = now if waiting is None else waiting
    assert (state.due() is None) == (not gaps)
    assert pushes <= len(gaps)
