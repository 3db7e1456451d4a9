"""`keyword-filter` (*ours*): passes its input on where its text holds keywords.

Reads text (see `texts`; several strings count as one text) and passes the whole data on. `require: any` wants at least
one of `keywords`, `all` every one, `none` not a single one; data without text is dropped, by `none` too. Case is
ignored unless `case_sensitive`, by Unicode's folding, so that "STRASSE" is "Straße"; composed and decomposed accents
are the same. A keyword is found as a whole word, between characters that are neither letter, digit nor underscore; with
`whole_words: false` anywhere, as languages without spaces need it. Blanks in a keyword stand for themselves.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from pydantic import Field, field_validator

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Operator, Params
from sidecar.workflow.operators.texts import TEXT, texts_of


class KeywordFilterParams(Params):
    keywords: list[str] = Field(min_length=1)
    require: Literal["any", "all", "none"] = "any"
    case_sensitive: bool = False
    whole_words: bool = True

    @field_validator("keywords")
    @classmethod
    def _are_words(cls, value: list[str]) -> list[str]:
        if not all(keyword.strip() for keyword in value):
            raise ValueError("holds a blank keyword: every text has that")
        return value


class KeywordFilter(Operator):
    params_model = KeywordFilterParams
    reads = TEXT
    never_fails = True

    def __init__(self, node: Node, params: KeywordFilterParams) -> None:
        self._is_case_sensitive = params.case_sensitive
        self._require = params.require
        escaped = [re.escape(self._folded(keyword)) for keyword in params.keywords]
        # alternatives of fixed text: nothing here can backtrack for long
        wanted = escaped if params.require == "all" else ["|".join(escaped)]
        shape = r"(?<!\w)(?:{})(?!\w)" if params.whole_words else "{}"
        self._searches = tuple([re.compile(shape.format(each)).search for each in wanted])

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        texts = [self._folded(text) for text in texts_of(inputs[0])]
        if not texts:
            return EMPTY
        is_found = all(any(map(search, texts)) for search in self._searches)
        return inputs[0] if is_found is (self._require != "none") else EMPTY

    def _folded(self, text: str) -> str:
        if not self._is_case_sensitive:
            text = text.casefold()
        return unicodedata.normalize("NFC", text)
