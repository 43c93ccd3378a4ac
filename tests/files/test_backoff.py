"""Rests double up to a bound, spread, and begin anew after a calm run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from northgate.files.backoff import Backoff

BACKOFF = Backoff(first=1.0, longest=10.0, calm=60.0)


@pytest.mark.parametrize(("crashes", "longest"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (6, 10), (10**6, 10)])
def test_rests_double_up_to_the_longest(crashes, longest):
    assert BACKOFF.rest(crashes, 0.0) == longest / 2
    assert BACKOFF.rest(crashes, 0.5) == longest * 0.75


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_a_rest_is_never_longer_than_the_longest_nor_nothing(crashes, share):
    assert 0.5 <= BACKOFF.rest(crashes, share) <= 10.0


def test_crashes_in_a_row_count_until_a_run_was_calm():
    assert BACKOFF.crashes(0, 0.1) == 1
    assert BACKOFF.crashes(4, 59.9) == 5
    assert BACKOFF.crashes(4, 60.0) == 1
