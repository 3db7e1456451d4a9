"""Concept relations over HTTP, by the vendor's client and without: an app's own knowledge graph."""

from __future__ import annotations

from typing import Any

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_code_pb2
from support.admin import Admin
from support.official_client import OfficialClient

from sidecar.collector import KnowledgeGraph, Predicate
from sidecar.errors import ConfigurationError
from sidecar.policy.relations import MOST_RELATIONS, Relation, Relations

LONG = "/v2/users/local/apps/main/concepts"
SHORT = "/v2/concepts"
OURS = ("local", "main")


def related(*to: str, predicate: str = "hyponym") -> dict[str, Any]:
    return {"concept_relations": [{"object_concept": {"id": each}, "predicate": predicate} for each in to]}


def triples(answer: Any) -> list[tuple[str, str, str]]:
    return [
        (each["subject_concept"]["id"], each["predicate"], each["object_concept"]["id"])
        for each in answer["concept_relations"]
    ]


async def test_the_three_calls_of_the_vendors_client(locked_admin: Admin) -> None:
    client = OfficialClient(locked_admin.url, "correct-token")
    owner = resources_pb2.UserAppIDSet(user_id="me", app_id="main")
    food = resources_pb2.ConceptRelation(object_concept=resources_pb2.Concept(id="food"), predicate="hyponym")
    request = service_pb2.PostConceptRelationsRequest(user_app_id=owner, concept_id="honey", concept_relations=[food])
    posted = await client("PostConceptRelations", request)
    assert posted.status.code == status_code_pb2.SUCCESS
    (made,) = posted.concept_relations
    assert (made.subject_concept.id, made.predicate, made.object_concept.id) == ("honey", "hyponym", "food")
    assert made.object_concept.value == 1.0

    listing = service_pb2.ListConceptRelationsRequest(user_app_id=owner, concept_id="food", predicate="hypernym")
    (seen,) = (await client("ListConceptRelations", listing)).concept_relations
    assert (seen.id, seen.subject_concept.id, seen.object_concept.id) == (made.id, "food", "honey")
    listing = service_pb2.ListConceptRelationsRequest(user_app_id=owner)
    assert list((await client("ListConceptRelations", listing)).concept_relations) == [made]

    request = service_pb2.DeleteConceptRelationsRequest(user_app_id=owner, concept_id="food", ids=[made.id])
    assert (await client("DeleteConceptRelations", request)).status.code == status_code_pb2.SUCCESS
    assert not (await client("ListConceptRelations", listing)).concept_relations
    again = await client("DeleteConceptRelations", request)
    assert again.status.code == status_code_pb2.CONCEPTS_INVALID_REQUEST
    assert f"ids[0]: concept 'food' has no relation '{made.id}'" in again.status.details


async def test_a_concepts_relations_are_seen_from_it_and_all_as_they_were_written(admin: Admin) -> None:
    await admin.ask("POST", f"{LONG}/golden%20retriever/relations", related("dog"))
    admin.shop.clock.advance(1)
    await admin.ask("POST", f"{SHORT}/dog/relations", related("hound", predicate="synonym"))
    written = [("golden retriever", "hyponym", "dog"), ("dog", "synonym", "hound")]
    assert triples((await admin.ask("GET", f"{SHORT}/relations"))[1]) == written
    _, of_dog = await admin.ask("GET", f"{LONG}/dog/relations")
    assert triples(of_dog) == [("dog", "hypernym", "golden retriever"), ("dog", "synonym", "hound")]
    _, page = await admin.ask("GET", f"{LONG}/relations?per_page=1&page=2")
    assert triples(page) == written[1:]
    assert triples((await admin.ask("GET", "/v2/users/ann/apps/lab/concepts/relations"))[1]) == []


@pytest.mark.parametrize(
    ("path", "body", "http", "code", "said"),
    [
        ("cat/relations", related("dog", "cat"), 400, 11102, "concept_relations[1].object_concept.id: is the subject"),
        ("cat/relations", related("x", predicate="meronym"), 400, 11102, "predicate: must be synonym, hyponym or"),
        ("cat/relations", {"concept_relations": [{"predicate": "synonym"}]}, 400, 11102, "object_concept: is missing"),
        ("cat/relations", related("x" * 257), 400, 11102, "at most 256 characters"),
        ("cat/relations", {}, 400, 11102, "concept_relations: must be a list"),
        ("cat/relations", related("a", "b", "a"), 409, 40010, "concept_relations[2]: is there already, or stands"),
        ("tom/relations", related("cat", predicate="synonym"), 409, 40010, "concept_relations[0]: is there already"),
        ("cat/relations", related("lion", predicate="hypernym"), 409, 40010, "concept_relations[0]: is there already"),
        (
            "cat/relations",
            {"concept_relations": [related("a")["concept_relations"][0] | {"knowledge_graph_id": "animals"}]},
            400,
            11102,
            "knowledge_graph_id: must be blank",
        ),
        (
            "cat/relations",
            {"concept_relations": [related("a")["concept_relations"][0] | {"subject_concept": {"id": "dog"}}]},
            400,
            11102,
            "subject_concept.id: is not the one in the path",
        ),
    ],
)
async def test_what_is_refused_changes_nothing(
    admin: Admin, path: str, body: object, http: int, code: int, said: str
) -> None:
    await admin.ask("POST", f"{SHORT}/cat/relations", related("tom", predicate="synonym"))
    await admin.ask("POST", f"{SHORT}/lion/relations", related("cat"))
    before = admin.shop.relations.list(OURS)
    status, answer = await admin.ask("POST", f"{SHORT}/{path}", body)
    assert (status, answer["status"]["code"]) == (http, code)
    assert said in answer["status"]["details"]
    assert admin.shop.relations.list(OURS) == before
    reopened = Relations(admin.shop.database, admin.shop.events, admin.shop.clock)
    await reopened.open()
    assert sorted(reopened.list(OURS)) == sorted(before)


async def test_a_listing_that_cannot_be_is_refused(admin: Admin) -> None:
    for query in ("predicate=meronym", "knowledge_graph_id=animals", "per_page=0"):
        assert (await admin.ask("GET", f"{LONG}/relations?{query}"))[0] == 400
    status, answer = await admin.ask("DELETE", f"{SHORT}/cat/relations", {"ids": []})
    assert (status, answer["status"]["code"]) == (400, 11102)


async def test_the_graph_changes_before_anybody_is_told(admin: Admin) -> None:
    relations, seen = admin.shop.relations, list[KnowledgeGraph]()
    relations.on_change = lambda: seen.append(relations.graphs[OURS])
    await admin.ask("POST", f"{SHORT}/pup/relations", related("dog", predicate="synonym"))
    (relation,) = relations.list(OURS)
    await admin.ask("DELETE", f"{SHORT}/dog/relations", {"ids": [relation.id]})
    assert seen == [KnowledgeGraph((("pup", Predicate.SYNONYM, "dog"),)), KnowledgeGraph(())]
    assert "concept relation added" in admin.shop.log.getvalue()


async def test_an_app_has_a_bounded_number_of_relations(admin: Admin) -> None:
    relations = admin.shop.relations
    many = [Relation("all", Predicate.HYPERNYM, str(number)) for number in range(MOST_RELATIONS)]
    await relations.add(OURS, many)
    with pytest.raises(ConfigurationError, match="at most 10000 relations"):
        await relations.add(OURS, [Relation("one", Predicate.SYNONYM, "more")])
    await relations.add(("ann", "lab"), [Relation("one", Predicate.SYNONYM, "more")])
    assert len(relations.list(OURS)) == MOST_RELATIONS
