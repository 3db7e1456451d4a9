"""Asking a chat model: OpenAI's chat completions, which vLLM, TGI, llama.cpp and Ollama speak too.

The prompt is the node's; an image goes along as a data URL, or by its own URL, which the model's server then fetches.
What comes back is text (a caption), one of a few labels (a judgement), or JSON in the data model's fields. Source: the
predict-protocols contract and OpenAI's API reference, "Create chat completion".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from sidecar.data import Concept, Data, Media, Text
from sidecar.errors import PermanentError
from sidecar.protocol.asked import Params, Question, RefusedError, Written, to_json
from sidecar.protocol.call import UndecodedError
from sidecar.protocol.content import parse_json
from sidecar.protocol.output_fields import read_object
from sidecar.protocol.prompts import check_prompt, fill, has_places
from sidecar.protocol.stand_in import to_base64

_OURS = frozenset(("model", "messages", "stream", "n", "tools"))
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)
_AROUND_A_LABEL = " \t\r\n.,;:!\"'`*()[]"
_CUT_SHORT = "length"
_UNKNOWN_IMAGE = "image/jpeg"


class ChatParams(Params):
    prompt: Annotated[str, Field(min_length=1), AfterValidator(check_prompt)]
    system: Annotated[str, AfterValidator(check_prompt)] = ""
    answer: Literal["text", "label", "json"] = "text"
    labels: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """What `answer: label` may be; else the model's own labels."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request, such as `temperature` and `max_tokens`."""

    @field_validator("options")
    @classmethod
    def _not_ours(cls, options: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(_OURS & options.keys())
        if taken:
            raise ValueError(f"must not hold {', '.join(taken)}: these are set from the model and the prompt")
        return options


def write(question: Question) -> Written:
    """Raises PermanentError for an input that has neither an image nor what the prompt asks for."""
    params: ChatParams = question.params
    content = _content(params.prompt, question.data)
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if params.system:
        messages.insert(0, {"role": "system", "content": fill(params.system, question.data)})
    return Written(to_json({"model": question.model, "messages": messages, **params.options}))


def read(answer: object, question: Question) -> tuple[Data, ...]:
    """Raises UndecodedError or RefusedError."""
    params: ChatParams = question.params
    said = _said(answer)
    if params.answer == "label":
        return (_label(said, params.labels or question.labels),)
    if params.answer == "json":
        return (read_object(_json(answer, said), question.labels),)
    return (Data(text=Text(said.strip())) if said.strip() else Data(),)


def document(answer: object, question: Question) -> Any:  # noqa: ANN401 - any JSON value
    """With `answer: json` what the model wrote, else the whole answer."""
    params: ChatParams = question.params
    return _json(answer, _said(answer)) if params.answer == "json" else answer


def _content(prompt: str, data: Data) -> str | list[dict[str, Any]]:
    text = fill(prompt, data)
    pictures = [_url_of(media) for media in (data.image,) if media is not None]
    own = data.text.raw if data.text and not has_places(prompt) else ""
    if not pictures and not own and text == fill(prompt, Data()):
        raise PermanentError("the prompt finds nothing in this input: it has no image, and nothing in the places asked")
    if own:
        text = f"{text}\n\n{own}"
    if not pictures:
        return text
    return [{"type": "text", "text": text}, *({"type": "image_url", "image_url": {"url": url}} for url in pictures)]


def _url_of(image: Media) -> str:
    if not image.content:
        return image.url
    return f"data:{image.media_type or _UNKNOWN_IMAGE};base64,{to_base64(image.content)}"


def _said(answer: object) -> str:
    """The text of the first choice; it may come in parts."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise UndecodedError("choices[0].message: must be an object")
    if message.get("refusal") or _field(choice, "finish_reason") == "content_filter":
        raise RefusedError("refused", "the model declined to answer about this input")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(_field(part, "text") or "") for part in content)
    if not isinstance(content, str):
        raise UndecodedError("choices[0].message.content: must be text")
    return content


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else None


def _label(said: str, labels: tuple[str, ...]) -> Data:
    word = said.strip(_AROUND_A_LABEL).casefold()
    for label in labels:
        if label.casefold() == word:
            return Data(concepts=(Concept(label),))
    raise UndecodedError(f"the model named none of the labels {', '.join(labels)}")


def _json(answer: object, said: str) -> Any:  # noqa: ANN401 - any JSON value
    fenced = _FENCED.fullmatch(said)
    try:
        return parse_json((fenced[1] if fenced else said).encode())
    except UndecodedError as error:
        choice = answer["choices"][0] if isinstance(answer, dict) else None
        cut = ", cut short by its limit of tokens" if _field(choice, "finish_reason") == _CUT_SHORT else ""
        raise UndecodedError(f"the model's text is no JSON{cut}") from error
