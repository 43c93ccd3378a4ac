"""A loaded world is never looked through for garbage again."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from tests.core.objects import endpoints, gateway, route, service

from northgate.control import ControlPlane


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


async def test_what_was_loaded_is_kept_out_of_later_looks() -> None:
    plane = ControlPlane()
    await plane.start("127.0.0.1:0")
    assert gc.get_threshold()[0] > 10_000
    plane.take([gateway(), service("web"), endpoints("web", "10.0.0.1")], complete=False)
    plane.take([route(f"r{i}") for i in range(100)])
    frozen = gc.get_freeze_count()
    assert frozen > 100 * 20
    assert gc.isenabled()
    plane.take([route("later")])
    assert gc.get_freeze_count() <= frozen
    await plane.stop(0)


async def test_a_load_that_fails_leaves_the_collector_on() -> None:
    with pytest.raises(TypeError):
        ControlPlane().take([None])  # type: ignore[list-item] # the mistake that is made here
    assert gc.isenabled()
