"""`regex-based-classifier`: one concept, with value 1.0, where the text matches a regular expression.

Reads text (see `texts`) and gives `concepts`: the concept `concept_id` where the expression is found anywhere in one of
the texts (anchor it with `^` and `$` for the whole); else the input is dropped, and so is data without text. Source:
the Clarifai Collectors contract, "Workflows". The syntax is RE2's, whose time is linear in the text: no input can make
the engine search for ever, as it can with backtracking. It has no look-around and no back-references; its classes for
words, digits, blanks and word ends are ASCII, while `[[:^ascii:]]` and `\\pL` reach the other letters.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from sidecar.collector import Node
from sidecar.data import Concept, Data
from sidecar.kit.expressions import compiled
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Operator, Params
from sidecar.workflow.operators.texts import TEXT, texts_of


class RegexBasedClassifierParams(Params):
    regex: str
    """RE2 syntax; `(?i)` at its start ignores case."""
    concept_id: str = Field(min_length=1)

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str) -> str:
        compiled(value)
        return value


class RegexBasedClassifier(Operator):
    params_model = RegexBasedClassifierParams
    reads = TEXT
    gives = frozenset(("concepts",))

    def __init__(self, node: Node, params: RegexBasedClassifierParams) -> None:
        self._search = compiled(params.regex).search
        self._found = Data(concepts=(Concept(params.concept_id, 1.0),))

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        return self._found if any(map(self._search, texts_of(inputs[0]))) else EMPTY
