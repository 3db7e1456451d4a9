"""Any number of inputs of an app, drawn with a fixed seed, and searches with what each must find."""

from __future__ import annotations

import random
from collections.abc import Callable

from sidecar.data import Concept, Data, Text
from sidecar.store.input_search import ANY, Wanted
from sidecar.store.inputs import StoredInput

APP = ("me", "app")
WORDS = ("refund", "please", "Grüße", "order", "late", "broken")
WISHES: dict[str, tuple[Wanted, Callable[[StoredInput], bool]]] = {
    "everything": (ANY, lambda _: True),
    "collector": (Wanted(collector="c1"), lambda each: each.collector == "c1"),
    "caller and model": (
        Wanted(caller="ann", model="m2"),
        lambda each: each.caller == "ann" and each.model == "m2",
    ),
    "version": (Wanted(version="2"), lambda each: each.version == "2"),
    "concept": (Wanted(concept="cat"), lambda each: value_of(each, "cat") >= 0),
    "concept in a range": (
        Wanted(concept="cat", least=0.3, most=0.6),
        lambda each: 0.3 <= value_of(each, "cat") <= 0.6,
    ),
    "concept, caller and time": (
        Wanted(concept="dog", caller="bob", since=100.0, until=300.0),
        lambda each: value_of(each, "dog") >= 0 and each.caller == "bob" and 100 <= each.created_at < 300,
    ),
    "a word": (Wanted(text="refund"), lambda each: "refund" in text_of(each)),
    "two words, any case": (Wanted(text="REFUND grusse"), lambda each: False),
    "words with accents": (Wanted(text="grüße late"), lambda each: {"Grüße", "late"} <= set(text_of(each).split())),
    "a word's beginning": (Wanted(text="ord*"), lambda each: "order" in text_of(each)),
    "text and concept": (
        Wanted(text="refund", concept="cat", least=0.5),
        lambda each: "refund" in text_of(each) and value_of(each, "cat") >= 0.5,
    ),
    "no word at all": (Wanted(text='"*-'), lambda each: False),
    "what is nowhere": (Wanted(concept="cow"), lambda each: False),
}


def value_of(stored: StoredInput, name: str) -> float:
    return next((concept.value for concept in stored.data.concepts if concept.id == name), -1.0)


def text_of(stored: StoredInput) -> str:
    return stored.data.text.raw if stored.data.text else ""


def made(count: int, seed: int = 7) -> list[StoredInput]:
    draw = random.Random(seed)
    return [
        StoredInput(
            *APP,
            f"i{number:06d}",
            Data(
                text=Text(" ".join(draw.sample(WORDS, 3))),
                concepts=tuple(
                    Concept(name, round(draw.random(), 2)) for name in draw.sample(("cat", "dog", "fox"), 2)
                ),
            ),
            float(draw.randrange(count)),
            collector=draw.choice(("c1", "c2")),
            caller=draw.choice(("ann", "bob")),
            model=draw.choice(("m1", "m2")),
            version=draw.choice(("1", "2")),
        )
        for number in range(count)
    ]
