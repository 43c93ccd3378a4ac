"""The memoising engine: what is recomputed, when it stops early, and that it always equals a fresh computation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from northgate.engine import Derived, Engine, EngineError, Index, Input


class Sums:
    """Numbers by key, their parity, and per parity the sum: a map, an index and a group on top of each other."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.numbers: Input[str, int] = self.engine.input("numbers")
        self.halves: Derived[str, int] = self.engine.map("halves", self.numbers, lambda k: self.numbers[k] // 2)
        self.by_parity: Index[int, str] = self.engine.index(self.halves, lambda _, half: (half % 2,))
        self.sums: Derived[int, int] = self.engine.group(
            "sums", self.by_parity, lambda parity: sum(self.halves[k] for k in self.by_parity.bucket(parity))
        )

    def results(self) -> dict[int, int]:
        self.engine.settle()
        return dict(self.sums.items())


def test_only_what_read_the_change_is_recomputed() -> None:
    sums = Sums()
    for number in range(100):
        sums.numbers.put(f"k{number:02}", number * 4)
    sums.results()
    before = sums.halves.computed, sums.sums.computed
    sums.numbers.put("k07", 8)
    sums.results()
    assert (sums.halves.computed - before[0], sums.sums.computed - before[1]) == (1, 1)


def test_an_equal_result_stops_the_change() -> None:
    sums = Sums()
    sums.numbers.put("a", 4)
    sums.results()
    before = sums.sums.computed
    sums.numbers.put("a", 5)
    assert sums.results() == {0: 2}
    assert sums.sums.computed == before


def test_an_equal_input_is_no_change() -> None:
    sums = Sums()
    assert sums.numbers.put("a", 4)
    assert not sums.numbers.put("a", 4)


def test_a_bucket_without_keys_has_no_value() -> None:
    sums = Sums()
    sums.numbers.put("a", 2)
    assert sums.results() == {1: 1}
    sums.numbers.remove("a")
    assert sums.results() == {}
    assert 1 not in sums.by_parity


def test_a_bug_keeps_the_previous_value_and_harms_no_other_key() -> None:
    engine = Engine()
    numbers: Input[str, int] = engine.input("numbers")
    inverse: Derived[str, float] = engine.map("inverse", numbers, lambda key: 1 / numbers[key])
    numbers.put("a", 2)
    numbers.put("b", 4)
    engine.settle()
    numbers.put("a", 0)
    numbers.put("b", 5)
    engine.settle()
    assert dict(inverse.items()) == {"a": 0.5, "b": 0.2}
    assert isinstance(engine.failures["inverse", "a"], ZeroDivisionError)
    numbers.put("a", 10)
    engine.settle()
    assert inverse.get("a") == 0.1
    assert not engine.failures


def test_reading_a_later_stage_is_refused() -> None:
    engine = Engine()
    numbers: Input[str, int] = engine.input("numbers")
    later: list[Derived[str, int]] = []
    engine.map("first", numbers, lambda key: later[0][key])
    later.append(engine.map("second", numbers, lambda key: numbers[key]))
    numbers.put("a", 1)
    with pytest.raises(EngineError, match="first reads a stage that is declared after it"):
        engine.settle()


def test_a_computation_may_not_read_everything() -> None:
    engine = Engine()
    numbers: Input[str, int] = engine.input("numbers")
    engine.map("all", numbers, lambda _: len(list(numbers.items())))
    numbers.put("a", 1)
    with pytest.raises(EngineError, match="declare an index instead"):
        engine.settle()


def test_stages_declared_late_see_what_is_there() -> None:
    engine = Engine()
    numbers: Input[str, int] = engine.input("numbers")
    numbers.put("a", 3)
    doubled: Derived[str, int] = engine.map("doubled", numbers, lambda key: 2 * numbers[key])
    engine.settle()
    assert doubled.get("a") == 6


def test_changes_are_told_once_in_order() -> None:
    sums = Sums()
    sums.halves.observe()
    sums.numbers.put("b", 2)
    sums.numbers.put("a", 8)
    sums.engine.settle()
    assert sums.halves.take_changes() == ("b", "a")
    assert sums.halves.take_changes() == ()
    sums.numbers.remove("b")
    sums.engine.settle()
    assert sums.halves.take_changes() == ("b",)


KEYS = st.sampled_from("abcdef")
EDITS = st.lists(st.tuples(KEYS, st.one_of(st.none(), st.integers(0, 9))), max_size=40)


@given(EDITS, st.integers(1, 5))
def test_incremental_equals_fresh(edits: list[tuple[str, int | None]], batch: int) -> None:
    walked = Sums()
    final: dict[str, Any] = {}
    for number, (key, value) in enumerate(edits):
        if value is None:
            walked.numbers.remove(key)
            final.pop(key, None)
        else:
            walked.numbers.put(key, value)
            final[key] = value
        if number % batch == 0:
            walked.engine.settle()
    fresh = Sums()
    for key, value in final.items():
        fresh.numbers.put(key, value)
    assert walked.results() == fresh.results()
    assert dict(walked.halves.items()) == dict(fresh.halves.items())
