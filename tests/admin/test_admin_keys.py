"""Keys of the admin API: shown once, kept as hashes, and never more than whoever makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.admin import Admin, open_admin

TOKEN = {"Authorization": "Key correct-token"}


def with_key(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def made(admin: Admin, *scopes: str, by: dict[str, str] = TOKEN) -> dict[str, Any]:
    status, answer = await admin.ask("POST", "/v1/keys", {"name": "ci", "scopes": list(scopes)}, by)
    assert status == 200, answer
    return dict(answer)


async def test_a_key_is_shown_once_and_its_token_is_nowhere(locked_admin: Admin) -> None:
    key = await made(locked_admin, "inputs", "read")
    assert key["key"]["scopes"] == ["read", "inputs"]
    assert key["key"]["created_by"] == "token"
    _, listed = await locked_admin.ask("GET", "/v1/keys", headers=with_key(key["token"]))
    assert listed == {"keys": [key["key"]]}
    shop = locked_admin.shop
    secret = key["token"].rpartition(key["key"]["id"])[2]
    assert secret.encode() not in shop.bytes_on_disk
    assert secret not in shop.log.getvalue()


async def test_a_rotated_key_has_another_token_and_a_revoked_one_none(locked_admin: Admin) -> None:
    first = await made(locked_admin, "read")
    path = f"/v1/keys/{first['key']['id']}"
    _, second = await locked_admin.ask("POST", f"{path}/rotate", headers=TOKEN)
    assert second["key"]["rotated_at"]
    for token, http in ((first["token"], 401), (second["token"], 200)):
        assert (await locked_admin.ask("GET", "/v1/ledger", headers=with_key(token)))[0] == http
    assert (await locked_admin.ask("DELETE", path, headers=TOKEN))[0] == 200
    assert (await locked_admin.ask("GET", "/v1/ledger", headers=with_key(second["token"])))[0] == 401
    for method, gone in (("DELETE", path), ("POST", f"{path}/rotate")):
        status, answer = await locked_admin.ask(method, gone, headers=TOKEN)
        assert (status, answer["status"]["code"]) == (404, 11101)


async def test_keys_are_there_after_a_restart(tmp_path: Path) -> None:
    async with open_admin(tmp_path, "correct-token") as admin:
        kept, gone = await made(admin, "read"), await made(admin, "read")
        await admin.ask("DELETE", f"/v1/keys/{gone['key']['id']}", headers=TOKEN)
    async with open_admin(tmp_path, "correct-token") as admin:
        assert (await admin.ask("GET", "/v1/ledger", headers=with_key(kept["token"])))[0] == 200
        assert (await admin.ask("GET", "/v1/ledger", headers=with_key(gone["token"])))[0] == 401


async def test_nobody_reaches_beyond_its_own_scopes(locked_admin: Admin) -> None:
    writer = with_key((await made(locked_admin, "write"))["token"])
    strong = (await made(locked_admin, "read", "write", "inputs"))["key"]["id"]
    asked = [
        ("POST", "/v1/keys", {"name": "more", "scopes": ["write", "inputs"]}),
        ("POST", f"/v1/keys/{strong}/rotate", None),
        ("DELETE", f"/v1/keys/{strong}", None),
    ]
    for method, path, body in asked:
        status, answer = await locked_admin.ask(method, path, body, writer)
        assert (status, answer["status"]["code"]) == (403, 11007)
        assert "inputs" in answer["status"]["details"]
    assert (await made(locked_admin, "write", by=writer))["key"]["scopes"] == ["write"]


async def test_without_a_token_a_key_is_looked_at_and_anything_else_is_not(admin: Admin) -> None:
    key = await made(admin, "read", by={})
    assert key["key"]["created_by"] == "loopback"
    body = {"all": True}
    assert (await admin.ask("POST", "/v1/jobs/retry", body, with_key(key["token"])))[0] == 403
    assert (await admin.ask("POST", "/v1/jobs/retry", body, with_key("the vendor's own")))[0] == 200
    assert (await admin.ask("GET", "/v1/keys", headers=with_key(key["token"][:-1] + "!")))[0] == 200
    await admin.ask("DELETE", f"/v1/keys/{key['key']['id']}")
    assert (await admin.ask("GET", "/v1/ledger", headers=with_key(key["token"])))[0] == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["read"]}, "name"),
        ({"name": "a\nb", "scopes": ["read"]}, "name"),
        ({"name": "x" * 101, "scopes": ["read"]}, "name"),
        ({"name": "ci"}, "scopes"),
        ({"name": "ci", "scopes": []}, "scopes"),
        ({"name": "ci", "scopes": ["admin"]}, "scopes"),
        ({"name": "ci", "scopes": [{}]}, "scopes"),
        ({"name": "ci", "scopes": ["read"], "for": 1}, "for"),
    ],
)
async def test_what_is_no_key_is_refused_by_its_field(admin: Admin, body: dict[str, Any], field: str) -> None:
    status, answer = await admin.ask("POST", "/v1/keys", body)
    assert (status, answer["status"]["code"]) == (400, 11102)
    assert answer["status"]["details"].startswith(f"{field}: ")
    assert (await admin.ask("GET", "/v1/keys"))[1] == {"keys": []}


REMOTE = {"clarifai": {"base_url": "https://elsewhere.example", "user_id": "u", "app_id": "a"}}
BY_PLACE = {"clarifai": {**REMOTE["clarifai"], "token": {"env": "SIDECAR_ADMIN_TOKEN"}}}


@pytest.mark.parametrize(
    ("scopes", "fields", "http"),
    [
        (["write"], {}, 200),
        (["write"], {"destination": {"app": {}}}, 200),
        (["write"], {"destination": REMOTE}, 403),
        (["write", "inputs"], {"destination": REMOTE}, 200),
        (["write", "inputs", "read"], {"destination": BY_PLACE}, 403),
        (["write", "inputs", "read"], {"Destination": {"http": {"token": {"file": "/data/secret.key"}}}}, 403),
        (["write", "inputs", "read"], {"destinations": [REMOTE, {"http": {"tls": {"key": {"file": "/x"}}}}]}, 403),
    ],
)
async def test_no_key_gets_by_a_collector_what_it_may_not_have(
    locked_admin: Admin, scopes: list[str], fields: dict[str, Any], http: int
) -> None:
    key = with_key((await made(locked_admin, *scopes))["token"])
    wire = {"id": "c", "source": {"model": "m"}, "pre_queue_random_sample": 1.0}
    body = {"collectors": [{**wire, **fields}]}
    status, answer = await locked_admin.ask("POST", "/v2/collectors", body, key)
    assert status == http, answer
    if http == 403:
        assert answer["status"]["code"] == 11007
        await locked_admin.ask("POST", "/v2/collectors", {"collectors": [wire]}, TOKEN)
        patch = {"collectors": [{"id": "c", **fields}]}
        assert (await locked_admin.ask("PATCH", "/v2/collectors", patch, key))[0] == 403
