"""What query strings hold, as pydantic models: they read a request's query, and `/openapi.json` is made of them.

Promises that no parameter is passed over: one that a route does not know, or that stands there twice, is refused, the
vendor's own filters among them, as a listing that ignored one would answer more than was asked for. A name may come in
camelCase, and what is blank counts as not given. Whoever probes (health, metrics) may add what it likes.
"""

from __future__ import annotations

import datetime
import math
import re
from collections import Counter
from contextvars import ContextVar
from typing import Annotated, Literal, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_snake

from sidecar.admin.envelope import Code, Refusal
from sidecar.collector import Predicate
from sidecar.kit.ids import ID, require_id
from sidecar.kit.validation import faults_of
from sidecar.store.input_search import Place

MAX_PER_PAGE = 1000
MAX_CHARACTERS = 512
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_KIND = r"^[a-z_]+(\.[a-z_]+)?$"
_ID = f"^{ID.pattern}$"
_MOST_ID = 10**18
_MOST_WHOLE = 2**31


def read_text(value: object) -> object:
    """`value` unless it is text that nothing here is named by. Raises ValueError."""
    if isinstance(value, str) and (len(value) > MAX_CHARACTERS or "\0" in value):
        raise ValueError(f"must be text of at most {MAX_CHARACTERS} characters")
    return value


def _moment(value: object) -> object:
    """Seconds since the epoch, from RFC 3339 or such seconds. Raises ValueError."""
    if not isinstance(value, str) or not value:
        return value
    try:
        moment = datetime.datetime.fromisoformat(value.replace(" ", "+"))  # a + in a query is a space
    except ValueError:
        return _number(value, "must be a number of seconds since the epoch, or RFC 3339")
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _number(value: object, message: str = "must be a number") -> object:
    if isinstance(value, str):
        number = float(value) if _NUMBER.fullmatch(value) else math.nan
        if not math.isfinite(number):
            raise ValueError(message)
        return number
    return value


def _id(value: object) -> object:
    if isinstance(value, str):
        if not (value.isascii() and value.isdecimal() and len(value) < len(str(_MOST_ID))):
            raise ValueError("must be an id: a whole number")
        return int(value)
    return value


def _from_one(value: object) -> object:
    """A whole number; some clients write every number as a float."""
    if isinstance(value, str):
        whole = value.removesuffix(".0")
        if not (whole.isascii() and whole.isdecimal()) or not 0 < int(whole[:11]) < _MOST_WHOLE:
            raise ValueError("must be a whole number from 1")
        return int(whole)
    return value


def _place(value: object) -> object:
    if not isinstance(value, str):
        return value
    moment, _, name = value.partition(",")
    if not name:
        raise ValueError("must be an answer's next_before")
    return Place(float(str(_number(moment))), name)


def _kind(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_KIND, value):
        raise ValueError("must be as in collector or collector.changed")
    return value


def _own_graph(value: object) -> object:
    if value:
        raise ValueError("must be blank, the app's own graph: the others are files")
    return value


_TEXT = {"type": "string", "maxLength": MAX_CHARACTERS, "pattern": "^[^\\x00]*$"}
Text = Annotated[str, BeforeValidator(read_text), WithJsonSchema(_TEXT)]
OwnerId = Annotated[str, AfterValidator(require_id), WithJsonSchema({"type": "string", "pattern": _ID})]
_MOMENT = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "number"}]}
Moment = Annotated[float, Field(strict=True, allow_inf_nan=False), BeforeValidator(_moment), WithJsonSchema(_MOMENT)]
Number = Annotated[float, BeforeValidator(_number)]
Seconds = Annotated[float, Field(gt=0, le=86_400), BeforeValidator(_number)]
RowId = Annotated[int, Field(ge=0, lt=_MOST_ID), BeforeValidator(_id)]
FromOne = Annotated[int, Field(ge=1, lt=_MOST_WHOLE), BeforeValidator(_from_one)]
PerPage = Annotated[int, Field(ge=1, le=MAX_PER_PAGE), BeforeValidator(_from_one)]
Kind = Annotated[str, BeforeValidator(_kind), WithJsonSchema({"type": "string", "pattern": _KIND})]
BeforePlace = Annotated[Place, BeforeValidator(_place), WithJsonSchema({"type": "string"})]
Named = Annotated[Predicate, BeforeValidator(Predicate.named)]


class Query(BaseModel):
    """Of a route that takes no parameter."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Anything(Query):
    """Of a route that passes over whatever it is asked: a probe, a scraper or what stands before them adds its own."""

    model_config = ConfigDict(extra="ignore")


class OfApp(Query):
    """Of a route about an app's own: whose, where the path does not say."""

    user_id: Annotated[OwnerId, Field(alias="user_app_id.user_id")] = ""
    app_id: Annotated[OwnerId, Field(alias="user_app_id.app_id")] = ""


class Pages(OfApp):
    page: FromOne = 1
    per_page: PerPage = 128

    @property
    def slice(self) -> slice:
        """The page's own, of a whole list."""
        return slice((self.page - 1) * self.per_page, self.page * self.per_page)


class Relations(Pages):
    predicate: Named | None = None
    concept_id: Annotated[Text, Field(description="whose, where the path does not say")] = ""
    knowledge_graph_id: Annotated[Literal[""], BeforeValidator(_own_graph)] = ""


class Inputs(Pages):
    per_page: PerPage = 20
    collector: Text = ""
    caller: Text = ""
    model: Text = ""
    version: Text = ""
    concept: Text = ""
    least: Annotated[Number | None, Field(description="of the concept's value")] = None
    most: Number | None = None
    since: Annotated[Moment | None, Field(description="RFC 3339, or seconds since the epoch")] = None
    until: Moment | None = None
    text: Annotated[Text, Field(description="words that must all be there; with * at its end a word's beginning")] = ""
    before: Annotated[BeforePlace | None, Field(description="an answer's next_before")] = None


class Content(OfApp):
    tensor: Annotated[str, Field(description="its name: that tensor, as .npy")] = ""


class NewestFirst(Query):
    """A page of rows that are told by number."""

    before: Annotated[RowId | None, Field(description="an answer's next_before")] = None
    per_page: PerPage = 128


class Jobs(NewestFirst):
    state: Literal["queued", "leased", "dead"] | None = None
    collector: Text = ""
    destination: Text = ""
    reason: Text = ""
    since: Annotated[
        Moment | None, Field(description="when the job was made: RFC 3339, or seconds since the epoch")
    ] = None
    until: Moment | None = None


class Events(NewestFirst):
    kind: Kind = ""
    who: Text = ""
    collector: Text = ""


class Tail(Query):
    caller: Text = ""
    model: Text = ""
    collector: Text = ""
    limit: Annotated[FromOne | None, Field(description="so many exchanges are told, then the stream ends")] = None
    seconds: Annotated[Seconds | None, Field(description="so long is listened, then the stream ends")] = None


_AS_READ: ContextVar[Query] = ContextVar("query")
Q = TypeVar("Q", bound=Query)


def read_query(request: web.Request, model: type[Query]) -> None:
    """Have `model` read the request's query, for `query_of`. Raises Refusal naming every parameter that is wrong."""
    named = [(to_snake(name), value) for name, value in request.query.items()]
    times = Counter(name for name, _ in named)
    if len(times) < len(named) and model is not Anything:
        raise _refused({name: "stands there twice" for name in times if times[name] > 1})
    known = {field.alias or name for name, field in model.model_fields.items()}
    given = {name: value for name, value in named if value or name not in known}
    try:
        _AS_READ.set(model.model_validate(given))
    except ValidationError as error:
        raise _refused(
            {fault.field.removeprefix("."): fault.message for fault in faults_of(error, model, "")}
        ) from None


def _refused(problems: dict[str, str]) -> Refusal:
    said = "; ".join(f"{name}: {message}" for name, message in problems.items())
    return Refusal(Code.INVALID_REQUEST, said, problems)


def query_of(model: type[Q]) -> Q:
    """The query of the request that is being answered, as its route's model read it: `model`, or one on top of it."""
    found = _AS_READ.get()
    if not isinstance(found, model):
        raise TypeError(f"the route reads its query by {type(found).__name__}, which is no {model.__name__}")
    return found
