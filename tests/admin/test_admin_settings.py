"""Every setting is shown with where it came from, and no secret with it."""

from __future__ import annotations

from typing import Any

from support.admin import Admin

from sidecar import settings


async def test_every_setting_is_shown_and_the_token_is_not(locked_admin: Admin) -> None:
    status, answer = await locked_admin.ask("GET", "/v1/settings", headers={"Authorization": "Key correct-token"})
    assert status == 200
    shown: dict[str, Any] = {each["name"]: each for each in answer["settings"]}
    assert list(shown) == [row.name for row in settings.rows()]
    assert (shown["admin_token"]["value"], shown["admin_token"]["secret"]) == ("***", True)
    assert (shown["max_body"]["value"], shown["max_body"]["from"]) == ("8MiB", "default")
    assert "correct-token" not in str(answer)


def test_where_a_setting_came_from_is_known_to_children_too() -> None:
    options = {"listen": "127.0.0.1:5", "data": "/d"}
    environment = {"SIDECAR_DATA": "/e", "SIDECAR_MODELS": "", "PATH": "/bin"}
    found = settings.origins(options, environment)
    assert found == {"listen": "option", "data": "option", "models": "environment"}
    child = settings.to_environment(options, environment)
    assert settings.origins({}, child | {"SIDECAR_ADMIN": "127.0.0.1:1"}) == found
    grandchild = settings.to_environment({}, settings.to_environment({}, {"SIDECAR_DATA": "/e"}))
    assert settings.origins({}, grandchild) == {"data": "environment"}
