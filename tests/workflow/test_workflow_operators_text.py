"""Operators that read text: keywords, regular expressions, languages."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.operators import faults_of, graph_of, judge, said

from sidecar.data import Concept, Data, Tensor, Text
from sidecar.workflow.run import Filtered, Kept

KEYWORDS = ["refund", "straße", "money back", "c++"]
words = st.sampled_from(
    ["refund", "refunds", "Refund", "STRASSE", "money", "back", "money back", "c++", "c", "_refund"]
)


def naive_has(text: str, keyword: str, *, case_sensitive: bool, whole_words: bool) -> bool:
    """Looks at every place of the text in turn."""
    if not case_sensitive:
        text, keyword = text.casefold(), keyword.casefold()
    for start in range(len(text) - len(keyword) + 1):
        if text[start : start + len(keyword)] != keyword:
            continue
        beside = text[start - 1 : start] if start else "", text[start + len(keyword) : start + len(keyword) + 1]
        if not whole_words or not any(each and (each.isalnum() or each == "_") for each in beside):
            return True
    return False


@given(
    st.lists(words, min_size=1, max_size=6),
    st.sampled_from([" ", ", ", ""]),
    st.lists(st.sampled_from(KEYWORDS), min_size=1, max_size=3),
    st.sampled_from(["any", "all", "none"]),
    st.booleans(),
    st.booleans(),
)
def test_the_keyword_filter_is_the_naive_one(
    parts: list[str], between: str, keywords: list[str], require: str, case_sensitive: bool, whole_words: bool
) -> None:
    flags = {"case_sensitive": case_sensitive, "whole_words": whole_words}
    graph = graph_of("keyword-filter", {"keywords": keywords, "require": require, **flags})
    text = between.join(parts)
    has = [naive_has(text, keyword, **flags) for keyword in keywords]
    is_kept = {"any": any(has), "all": all(has), "none": not any(has)}[require]
    assert judge(graph, said(text)) == (Kept(said(text)) if is_kept else Filtered("n"))


@pytest.mark.parametrize(
    ("keyword", "text", "is_kept"),
    [
        ("café", unicodedata.normalize("NFD", "Im Café."), True),
        (unicodedata.normalize("NFD", "café"), "Im Café.", True),
        ("cafe", unicodedata.normalize("NFD", "Im Café."), False),
        ("Straße", "HAUPTSTRASSE", False),
        ("Straße", "DIE STRASSE", True),
        ("退款", "我要退款吗", False),
        ("退款", "我要 退款 吗", True),
        ("a.c", "abc", False),
    ],
)
def test_a_keyword_is_a_whole_word_of_unicode(keyword: str, text: str, is_kept: bool) -> None:
    verdict = judge(graph_of("keyword-filter", {"keywords": [keyword]}), said(text))
    assert verdict == (Kept(said(text)) if is_kept else Filtered("n"))


@pytest.mark.parametrize("require", ["any", "all", "none"])
@pytest.mark.parametrize(
    "data", [Data(concepts=(Concept("refund"),)), Data(text=Text(url="http://refund/")), Data(tensors=(Tensor([1.0]),))]
)
def test_data_without_text_has_no_keywords_and_lacks_none(require: str, data: Data) -> None:
    assert judge(graph_of("keyword-filter", {"keywords": ["refund"], "require": require}), data) == Filtered("n")


def test_strings_in_tensors_are_one_text_where_there_is_no_other() -> None:
    row = Data(tensors=(Tensor("a Refund", "prompt"), Tensor([["now"], {"deep": "please"}], "more"), Tensor(7, "n")))
    graph = graph_of("keyword-filter", {"keywords": ["refund", "now", "please"], "require": "all"})
    assert judge(graph, row) == Kept(row)
    with_text = Data(text=Text("hello"), tensors=row.tensors)
    assert judge(graph, with_text) == Filtered("n")


def test_what_is_wrong_with_keywords_is_said() -> None:
    assert faults_of("keyword-filter", {"keywords": []}) == ["keywords: must not be empty"]
    assert faults_of("keyword-filter", {"keywords": ["a", " "]}) == [
        "keywords: holds a blank keyword: every text has that"
    ]
    assert faults_of("keyword-filter", {"keywords": ["a"], "require": "some"}) == [
        "require: must be 'any', 'all' or 'none'"
    ]
    assert faults_of("keyword-filter", {"keywords": "a"}) == ["keywords: must be a list"]


@given(
    st.sampled_from([r"^a", r"b$", r"a+b", r"(?i)AB", r"[ab]{3}", r"a|bb", r"^$", r"x", r"\ba\b"]),
    st.text("ab A", max_size=6),
)
def test_a_text_is_classified_where_the_expression_is_found(regex: str, text: str) -> None:
    graph = graph_of("regex-based-classifier", {"regex": regex, "concept_id": "hit"})
    is_found = bool(text) and re.search(regex, text) is not None
    assert judge(graph, said(text)) == (Kept(Data(concepts=(Concept("hit", 1.0),))) if is_found else Filtered("n"))


def test_no_text_can_make_the_expression_search_for_ever() -> None:
    graph = graph_of("regex-based-classifier", {"regex": "^(a+)+$", "concept_id": "hit"})
    # a backtracking search would end long after this test's time limit
    assert judge(graph, said("a" * 50_000 + "b")) == Filtered("n")


def test_the_regex_classifier_reads_no_more_than_text() -> None:
    graph = graph_of("regex-based-classifier", {"regex": "", "concept_id": "hit"})
    assert judge(graph, Data(concepts=(Concept("a"),))) == Filtered("n")
    assert judge(graph, Data(tensors=(Tensor(["", "x"]),))) == Kept(Data(concepts=(Concept("hit", 1.0),)))


def test_what_is_wrong_with_an_expression_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    for regex, why in (("a(", "missing ): a("), ("(?=a)", "invalid perl operator: (?=")):
        assert faults_of("regex-based-classifier", {"regex": regex, "concept_id": "c"}) == [
            f"regex: is no RE2 expression: {why}"
        ]
    assert faults_of("regex-based-classifier", {"regex": "a", "concept_id": ""}) == ["concept_id: must not be empty"]
    assert faults_of("regex-based-classifier", {}) == ["regex: is missing", "concept_id: is missing"]
    assert capfd.readouterr().err == ""


GERMAN = "Wo ist meine Bestellung, und wann kommt sie an?"
ENGLISH = "Where is my order, and when will it arrive?"


def languages(output: Data, **params: object) -> list[str]:
    verdict = judge(graph_of("language", params), output)
    if verdict == Filtered("n"):
        return []
    assert isinstance(verdict, Kept)
    assert verdict.output == Data(concepts=verdict.output.concepts)
    assert all(0.0 <= concept.value <= 1.0 for concept in verdict.output.concepts)
    return [concept.id for concept in verdict.output.concepts]


def test_a_texts_language_is_a_concept() -> None:
    assert languages(said(GERMAN)) == ["de"]
    assert languages(said(ENGLISH)) == ["en"]
    assert languages(Data(tensors=(Tensor(GERMAN, "prompt"), Tensor(5)))) == ["de"]


def test_languages_are_wanted_or_unwanted() -> None:
    assert languages(said(GERMAN), languages=["de", "fr"]) == ["de"]
    assert languages(said(ENGLISH), languages=["de", "fr"]) == []
    assert languages(said(GERMAN), languages=["de", "fr"], require="none") == []
    assert languages(said(ENGLISH), languages=["de", "fr"], require="none") == ["en"]


def test_what_is_too_short_to_tell_has_little_certainty() -> None:
    assert languages(said(GERMAN), min_certainty=0.5) == ["de"]
    assert languages(said("ok"), min_certainty=0.5) == []
    assert languages(said("1234 5678 !?")) == []
    assert languages(said(" ")) == []


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    long = ENGLISH * 100
    assert len(long) > 4096
    assert judge(graph_of("language"), said(long + GERMAN * 1000)) == judge(graph_of("language"), said(long[:4096]))


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_a_text_is_in_the_same_language_each_time(text: str) -> None:
    graph = graph_of("language")
    assert judge(graph, said(text)) == judge(graph, said(text))


def test_what_is_wrong_with_languages_is_said() -> None:
    (said_of_unknown,) = faults_of("language", {"languages": ["de", "german"]})
    assert said_of_unknown.startswith("languages: 'german' is no language that is told apart: ace, af, am")
    assert faults_of("language", {"require": "none"}) == [
        "require: none of no languages is every language: list some under languages"
    ]


def test_without_the_extra_the_graph_says_what_to_install_and_nothing_else_needs_it() -> None:
    code = (
        "import sys; sys.modules['py3langid'] = None\n"
        "sys.path.insert(0, 'tests')\n"
        "from sidecar.collector import Node, NodeModel, Workflow\n"
        "from sidecar.errors import ConfigurationError\n"
        "from sidecar.workflow.graph import compile_workflow\n"
        "try: compile_workflow(Workflow('w', (Node('n', NodeModel('n', 'language')),)), ())\n"
        "except ConfigurationError as error: print(error, 'numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "nodes[0].model.model_type_id: language needs the extra `language`: "
        "pip install 'collector-sidecar[language]' False\n"
    )
