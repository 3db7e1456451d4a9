"""`language` (*ours*): the language of the text, as one concept.

Reads text (see `texts`; several strings are looked at together) and gives `concepts`: one, its id the language's code
(ISO 639-1 where there is one, such as `de`), its value the certainty in [0, 1]. Drops the input where the certainty is
below `min_certainty`, where the language is none of `languages` (`require: any`, the default) or one of them
(`require: none`), and where there is no letter to judge by. Only the first 4,096 characters are looked at.

The library is py3langid (extra `language`), which says the same of the same text each time and holds about 90 MB; it is
loaded when the first graph that names this operator is made. Certainty grows with the text: of one or two words it is
mostly low, which `min_certainty` is for. A text that is no language (code, numbers) is `zxx`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import islice
from typing import Literal

from pydantic import Field

from sidecar.collector import Node
from sidecar.data import Concept, Data
from sidecar.errors import ConfigurationError, Problem
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Operator, Params
from sidecar.workflow.operators.texts import TEXT, texts_of

LOOKED_AT = 4096
_MANY_STRINGS = 64
_PARAMS = "model.output_info.params"


class LanguageParams(Params):
    languages: tuple[str, ...] = Field(default=(), strict=False)
    """Codes; none listed: every language."""
    require: Literal["any", "none"] = "any"
    min_certainty: float = Field(default=0.0, ge=0.0, le=1.0)


class Language(Operator):
    params_model = LanguageParams
    reads = TEXT
    gives = frozenset(("concepts",))

    def __init__(self, node: Node, params: LanguageParams) -> None:
        self._classify, known = _detector()
        unknown = sorted(set(params.languages) - known)
        if unknown:
            message = f"{unknown[0]!r} is no language that is told apart: {', '.join(sorted(known))}"
            raise ConfigurationError(Problem(message, f"{_PARAMS}.languages"))
        if params.require == "none" and not params.languages:
            message = "none of no languages is every language: list some under languages"
            raise ConfigurationError(Problem(message, f"{_PARAMS}.require"))
        wanted = frozenset(params.languages) or known
        self._wanted = known - wanted if params.require == "none" else wanted
        self._min_certainty = params.min_certainty

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        text = "\n".join(islice(texts_of(inputs[0]), _MANY_STRINGS))[:LOOKED_AT]
        if not any(map(str.isalpha, text)):
            return EMPTY
        code, certainty = self._classify(text)
        if code not in self._wanted or certainty < self._min_certainty:
            return EMPTY
        return Data(concepts=(Concept(code, certainty),))


@functools.cache
def _detector() -> tuple[Callable[[str], tuple[str, float]], frozenset[str]]:
    """What tells the language of a text, and the codes it knows. Raises ConfigurationError without the extra."""
    try:
        # imported here: of those who install the extra most have no graph that needs its 90 MB
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        message = "language needs the extra `language`: pip install 'collector-sidecar[language]'"
        raise ConfigurationError(Problem(message, "model.model_type_id")) from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return identifier.classify, frozenset(identifier.labels)
