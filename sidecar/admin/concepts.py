"""The relations between an app's concepts, its own knowledge graph: making, listing and deleting them.

Speaks the three calls of the vendor's client. A concept needs no making: it is whatever id a relation names. A workflow
that reads the app's graph maps by a change as soon as it is answered.
"""

from __future__ import annotations

from aiohttp import web

from sidecar.admin import bodies, queries
from sidecar.admin.asking import ids_in, objects, owner_of, read_json
from sidecar.admin.envelope import answer
from sidecar.admin.parts import PARTS
from sidecar.admin.queries import query_of
from sidecar.errors import ConfigurationError, Problem
from sidecar.policy.relation_wire import read_relation, write_relation
from sidecar.policy.relations import Relation


async def post(request: web.Request) -> web.Response:
    """Relate the concept in the path to others, all or none."""
    body = await read_json(request, bodies.PostRelations)
    wires, owner = objects(body, "concept_relations"), owner_of(request, body)
    relations = _read_all(wires, request.match_info["concept_id"])
    await request.app[PARTS].relations.add(owner, relations)
    return answer(concept_relations=[write_relation(each) for each in relations])


def _read_all(wires: list[object], subject: str) -> list[Relation]:
    relations: list[Relation] = []
    problems: list[Problem] = []
    for index, wire in enumerate(wires):
        try:
            relations.append(read_relation(wire, subject, f"concept_relations[{index}]"))
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return relations


async def list_all(request: web.Request) -> web.Response:
    """An app's relations, or one concept's as seen from it; `predicate=` narrows them."""
    asked = query_of(queries.Relations)
    concept = request.match_info.get("concept_id") or asked.concept_id
    found = request.app[PARTS].relations.list(owner_of(request), concept, asked.predicate)
    return answer(concept_relations=[write_relation(each) for each in found[asked.slice]])


async def delete(request: web.Request) -> web.Response:
    """Delete relations of the concept in the path, by id, all or none."""
    body = await read_json(request, bodies.DeleteRelations)
    ids, owner = ids_in(body), owner_of(request, body)
    await request.app[PARTS].relations.remove(owner, request.match_info["concept_id"], ids)
    return answer()
