"""A `model:` file: what it gives, what is refused with file and line, and that no secret is ever in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.catalogs import open_shop

from sidecar.cli import main
from sidecar.model_server import ModelServer, SecretFrom
from sidecar.pipeline.models import check_workflow
from sidecar.policy.checks import Judges, Snapshot, settle
from sidecar.policy.files import read_folder
from sidecar.protocol.model_shapes import shape_name_of

EXAMPLES = Path(__file__).parents[2] / "policies" / "models"
FULL = """\
model:
  id: captions
  url: https://host/v1/chat/completions
  protocol: chat
  name: gpt
  key: {env: CAPTIONS_KEY}
  headers: {X-Team: vision, X-Gateway-Token: {file: /run/secrets/token}}
  timeout: 30s
  connect_timeout: 500ms
  concurrency: 2
  tries: 1
  breaker_failures: 3
  breaker_open: 1m
  input_name: image
  labels: [cat, dog]
  output: {text: caption}
  params: {options: {temperature: 0}}
"""
PLAIN = """\
model:
  id: plain
  url: http://host/v1/models/plain:predict
"""
ASKS = """\
workflow:
  id: caption
  nodes:
    - id: caption
      model:
        model_id: captions
        output_info:
          params:
            prompt: "Caption {text}."
"""
COLLECTOR = "collector: {id: c, source: {model: m}, post_queue_workflow_id: caption}\n"


def write(folder: Path, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_a_file_gives_the_server_with_its_bounds_and_where_its_secrets_stand(tmp_path: Path) -> None:
    write(tmp_path, a=FULL, b=PLAIN)
    loaded = read_folder(tmp_path)
    assert loaded.problems == ()
    assert loaded.models == (
        ModelServer(
            "captions", "https://host/v1/chat/completions", "chat", "gpt", SecretFrom("CAPTIONS_KEY"),
            (("X-Team", "vision"), ("X-Gateway-Token", SecretFrom(file="/run/secrets/token"))),
            30.0, 0.5, 2, 1, 3, 60.0, "image", ("cat", "dog"), {"text": "caption"},
            {"options": {"temperature": 0}}, str(tmp_path / "a.yaml"),
        ),
        ModelServer("plain", "http://host/v1/models/plain:predict", origin=str(tmp_path / "b.yaml")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("key: {env: CAPTIONS_KEY}", "key: sk-secret-in-clear", "a.yaml:6: model.key: a secret is never written here"),
        ("{env: CAPTIONS_KEY}", "{env: A, file: B}", "a.yaml:6: model.key: must be one of"),
        ("{env: CAPTIONS_KEY}", "{evn: A}", "a.yaml:6: model.key.evn: no such field: there are text, env, file"),
        ("X-Team: vision", "X-Api-Key: sk-secret-in-clear", "a.yaml:7: model.headers: X-Api-Key: a secret is never"),
        ("X-Team: vision", "Authorization: sk-secret-in-clear", "a.yaml:7: model.headers: Authorization: a secret"),
        ("X-Team: vision", "Host: other", "a.yaml:7: model.headers: 'Host' is no header that may be set"),
        ("X-Team: vision", '"a b": c', "a.yaml:7: model.headers: 'a b' is no header that may be set"),
        ("X-Team: vision", "X-Team: käse", "a.yaml:7: model.headers: X-Team: holds characters"),
        ("timeout: 30s", "timeout: soon", "a.yaml:8: model.timeout: must be a duration"),
        ("timeout: 30s", "timeout: 200s", "a.yaml:8: model.timeout: must be at most 100"),
        ("concurrency: 2", "concurrency: 0", "a.yaml:10: model.concurrency: must be more than 0"),
        ("concurrency: 2", "concurency: 2", "a.yaml:10: model.concurency: no such field: did you mean concurrency?"),
        ("protocol: chat", "protocol: grpc", "a.yaml:4: model.protocol: must be one of tensorflow, openinference"),
        ("https://host/v1", "https://user:hunter2@host/v1", "a.yaml:3: model.url: 'https://***@host/v1/chat"),
        ("https://host/v1", "ftp://host/v1", "a.yaml:3: model.url: must be the whole address"),
        ("text: caption", "texts: caption", "a.yaml:16: model.output: has no field 'texts': there are text, concepts"),
        ("text: caption", 'text: "a["', "a.yaml:16: model.output: is no JMESPath expression"),
        ("temperature: 0", "stream: true", "a.yaml:17: model.params.options: must not hold stream"),
        ("id: captions", "id: the captions", "a.yaml:2: model.id: is not an id"),
        ("  url: https://host/v1/chat/completions\n", "", "a.yaml:1: model.url: is missing"),
        ("model:", "modell:", "a.yaml:1: must hold exactly one `collector:`, `workflow:` or `model:`"),
    ],
)
def test_a_fault_names_file_line_and_field_and_never_a_secret(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    write(tmp_path, a=FULL.replace(old, new))
    loaded = read_folder(tmp_path)
    said = [str(problem).removeprefix(f"{tmp_path}/") for problem in loaded.problems]
    assert any(text.startswith(expected) for text in said), said
    assert not any("in-clear" in text or "hunter2" in text for text in said)
    assert loaded.models == ()


def check(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    code = main(["check", *options])
    captured = capsys.readouterr()
    assert code == (2 if captured.err else 0)
    return captured.err


def test_check_covers_models_their_secrets_and_the_params_that_nodes_give_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    token = tmp_path / "token"
    full = FULL.replace("/run/secrets/token", str(token))
    write(tmp_path / "policies", a=full, w=ASKS.replace("{text}", "{{text}}"), c=COLLECTOR)
    said = check(capsys)
    assert "a.yaml:6: model.key: environment variable CAPTIONS_KEY holds no secret: set it" in said
    assert f"a.yaml:7: model.headers.X-Gateway-Token: file {token} cannot be read: No such file" in said
    assert "2 faults" in said
    monkeypatch.setenv("CAPTIONS_KEY", "sk-0123456789")
    token.write_text("token-0123456789")
    assert check(capsys) == ""
    write(tmp_path / "policies", w=ASKS.replace("{text}", "{{txt}}"))
    assert "w.yaml:9: workflow.nodes[0].model.output_info.params.prompt: has no place {{txt}}" in check(capsys)
    write(tmp_path / "policies", w=ASKS, b=PLAIN)
    said = check(capsys, "--models", "plain=http://host/v1/models/x:predict")
    assert "b.yaml:2: model.id: 'plain' is in the setting `models` already" in said


def test_two_files_may_not_give_the_same_model(tmp_path: Path) -> None:
    write(tmp_path, a=PLAIN, b=PLAIN)
    loaded = read_folder(tmp_path)
    assert len(loaded.problems) == 2
    assert loaded.models == ()


async def test_the_last_good_version_of_a_broken_file_stays(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    data = tmp_path / "data"
    data.mkdir()
    async with open_shop(data) as shop:
        write(folder, a=FULL, b=PLAIN)
        assert await shop.catalog.load_files(folder) == []
        good = shop.catalog.models
        assert [model.id for model in good] == ["captions", "plain"]
        write(folder, a=FULL.replace("tries: 1", "tries: many"))
        (problem,) = await shop.catalog.load_files(folder)
        assert problem.line == 11
        assert sorted(model.id for model in shop.catalog.models) == ["captions", "plain"]
        assert good[0] in shop.catalog.models
        (folder / "a.yaml").unlink()
        assert await shop.catalog.load_files(folder) == []
        assert shop.catalog.models == good[1:]


def test_the_examples_load_together() -> None:
    loaded = read_folder(EXAMPLES)
    judges = Judges(lambda workflow: check_workflow(workflow, loaded.models), lambda destination: None)
    outcome = settle(loaded, Snapshot(), judges)
    assert outcome.problems == ()
    shapes = {model.id: shape_name_of(model) for model in loaded.models}
    assert shapes == {"captions": "chat", "embedder": "openinference", "tagger": "clarifai-workflow"}
    assert [collector.post_queue_workflow_id for collector in outcome.collectors] == ["caption", ""]
