"""Do files and clusters accept the same objects? Schema and model agree on anything near a valid object."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.api.models import MODELS
from tests.api.near import spoiled, valid
from tests.api.openapi import complaints, pruned

from northgate.api.schema import structural


def accepted(model, value) -> bool:
    try:
        model.model_validate_json(json.dumps(value), by_alias=True, by_name=False)
    except ValidationError:
        return False
    return True


# A seed shrinks to nothing simpler, so hypothesis only generates; the failing object is in the assertion's message.
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=40, deadline=None, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_schema_and_model_agree_near_valid_objects(model, seed):
    chance = random.Random(seed)
    schema = structural(model)
    value = valid(schema, chance.choice)
    for _ in range(chance.choice((0, 1, 1, 1, 2))):
        value = spoiled(value, chance.choice)

    refused = list(complaints(schema, pruned(schema, value)))

    assert accepted(model, value) == (refused == []), (value, refused)


def test_nearly_valid_objects_are_both_accepted_and_refused():
    chance = random.Random(0)
    blocks = [(model, spoiled(valid(structural(model), chance.choice), chance.choice)) for model in MODELS * 4]

    share = sum(accepted(model, value) for model, value in blocks) / len(blocks)

    assert 0.05 < share < 0.95
