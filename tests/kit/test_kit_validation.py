"""What pydantic found wrong, in our words."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sidecar.kit.validation import Fault, faults_of


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")

    digits: Annotated[str, Field(pattern=r"^[0-9]{3}$")] = "000"
    share: Annotated[float, Field(le=1)] = 0
    spelled: Annotated[str, Field(alias="its.own")] = ""


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"digits": "12"}, Fault(".digits", "String should match pattern '^[0-9]{3}$'")),
        ({"share": 2}, Fault(".share", "must be at most 1")),
        ({"shore": 1}, Fault(".shore", "no such field: did you mean share?")),
        ({"its_own": "x"}, Fault(".its_own", "no such field: did you mean its.own?")),
        ({"spelled": "x"}, Fault(".spelled", "no such field: there are digits, share, its.own")),
    ],
)
def test_a_fault_names_the_field_as_it_is_written_and_what_to_do(given: dict[str, object], fault: Fault) -> None:
    with pytest.raises(ValidationError) as caught:
        Shape.model_validate(given)
    assert faults_of(caught.value, Shape, "") == [fault]
