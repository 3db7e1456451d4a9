"""What each shape of server is asked, and what becomes of its answer."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_fake import Asked, completion, image_of

from sidecar.data import Concept, Data, Embedding, Media, Raw, Tensor, Text
from sidecar.errors import ConfigurationError
from sidecar.model_server import ModelServer
from sidecar.protocol.asked import AwayError, RefusedError
from sidecar.protocol.model_call import Answer, problems_of_params, question_of, read_answer, write_call
from sidecar.protocol.model_shapes import SHAPES, shape_name_of
from sidecar.protocol.prompts import fill
from sidecar.protocol.stand_in import to_base64

PNG = b"\x89PNG\r\n\x1a\n rest"
URLS = {
    "tensorflow": "http://h:1/v1/models/m:predict",
    "openinference": "http://h:1/v2/models/m/infer",
    "clarifai": "http://h:1/v2/users/u/apps/a/models/m/outputs",
    "clarifai-workflow": "http://h:1/v2/users/u/apps/a/workflows/w/results",
    "chat": "http://h:1/v1/chat/completions",
}
CAPTION = {"prompt": "Write a caption."}
MINE = Data(text=Text("hello"), image=Media(PNG, media_type="image/png"), metadata={"caller": "alice"})


def server(shape: str, **fields: Any) -> ModelServer:
    return ModelServer("m", URLS[shape], **fields)


def asked(model: ModelServer, data: Data, params: dict[str, Any] | None = None) -> Asked:
    written = write_call(model, question_of(model, data, params or {}))
    return Asked("", written.headers, written.body)


def said(model: ModelServer, answer: object, params: dict[str, Any] | None = None, status: int = 200) -> Data:
    body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    (part,) = read_answer(model, question_of(model, Data(), params or {}), Answer(status, body))
    return part


def chat(answer: object, /, **params: Any) -> Data:
    return said(server("chat"), answer, {**CAPTION, **params})


@pytest.mark.parametrize("shape", URLS)
def test_the_path_tells_the_shape(shape: str) -> None:
    assert shape_name_of(server(shape)) == shape


@pytest.mark.parametrize(
    ("url", "shape"),
    [
        ("https://h/openai/deployments/gpt/chat/completions?api-version=1", "chat"),
        ("http://h/v2/workflows/w/versions/v/results", "clarifai-workflow"),
        ("http://h/v2/models/m/versions/3/infer", "openinference"),
        ("http://h/v2/models/m/outputs", "clarifai"),
    ],
)
def test_other_paths_that_tell_it(url: str, shape: str) -> None:
    assert shape_name_of(ModelServer("m", url)) == shape


def test_a_gateways_path_needs_the_protocol_named() -> None:
    with pytest.raises(
        ConfigurationError, match=r"http://h/anything is no predict call .* name its protocol"
    ) as caught:
        shape_name_of(ModelServer("m", "http://h/anything?key=hidden"))
    assert "hidden" not in str(caught.value)
    assert shape_name_of(ModelServer("m", "http://h/anything", protocol="chat")) == "chat"


@pytest.mark.parametrize("shape", ["tensorflow", "openinference", "clarifai", "clarifai-workflow", "chat"])
def test_no_shape_says_who_called(shape: str) -> None:
    params = CAPTION if shape == "chat" else {}
    assert b"alice" not in asked(server(shape), MINE, params).content


def test_tensorflow_gets_its_instance_under_the_name_it_wants() -> None:
    model = server("tensorflow", input_name="image_bytes")
    assert asked(model, Data(image=Media(PNG))).body == {"instances": [{"image_bytes": {"b64": to_base64(PNG)}}]}
    assert asked(model, Data(tensors=(Tensor([1, 2]),))).body == {"instances": [{"image_bytes": [1, 2]}]}
    named = Data(tensors=(Tensor(1, "a"), Tensor(2, "b")))
    assert asked(model, named, {"signature_name": "f"}).body == {
        "signature_name": "f",
        "instances": [{"a": 1, "b": 2}],
    }


def test_openinference_in_json_and_with_parameters() -> None:
    model = server("openinference", input_name="x")
    question = asked(model, Data(tensors=(Tensor([1.0, 2.0]),)), {"parameters": {"truncate": True}})
    column = {"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1.0, 2.0]}
    assert question.body == {"inputs": [column], "parameters": {"truncate": True}}
    text = asked(server("openinference"), Data(text=Text("hi"))).body["inputs"]
    assert text == [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["hi"]}]


def test_openinference_carries_bytes_by_its_binary_extension() -> None:
    question = asked(server("openinference"), Data(image=Media(PNG)))
    (tensor,) = question.body["inputs"]
    assert tensor == {
        "name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(PNG) + 4},
    }  # fmt: skip
    assert question.binary == [PNG]
    assert question.headers["Content-Type"] == "application/octet-stream"
    mixed = Data(image=Media(PNG), tensors=(Tensor(None, "picture", "BYTES"), Tensor([3], "size", "INT64", (1,))))
    names = [(each["name"], "data" in each) for each in asked(server("openinference"), mixed).body["inputs"]]
    assert names == [("picture", False), ("size", True)]


def test_clarifai_gets_the_input_and_the_nodes_params() -> None:
    question = asked(server("clarifai"), Data(text=Text("hi")), {"temperature": 0.5})
    assert question.body == {
        "inputs": [{"data": {"text": {"raw": "hi"}}}],
        "model": {"output_info": {"params": {"temperature": 0.5}}},
    }
    assert asked(server("clarifai-workflow"), Data(text=Text("hi"))).body == {
        "inputs": [{"data": {"text": {"raw": "hi"}}}]
    }


def test_a_chat_model_gets_the_prompt_and_the_image() -> None:
    model = server("chat", name="gpt", params={"options": {"temperature": 0}})
    params = {"prompt": "What is this?", "system": "Be {{metadata.caller}}'s eye."}
    body = asked(model, MINE, params).body
    assert (body["model"], body["temperature"]) == ("gpt", 0)
    system, user = body["messages"]
    assert system == {"role": "system", "content": "Be alice's eye."}
    text, image = user["content"]
    assert text == {"type": "text", "text": "What is this?\n\nhello"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert image_of(image["image_url"]["url"]) == PNG
    by_url = asked(model, Data(image=Media(url="https://x/y.png")), CAPTION).body["messages"][0]["content"]
    assert by_url[1]["image_url"] == {"url": "https://x/y.png"}


def test_a_chat_model_without_an_image_gets_plain_text() -> None:
    params = {"prompt": 'Is "{{text}}" rude? Answer {"rude": 0 or 1}.'}
    body = asked(server("chat"), Data(text=Text("{{text}} you")), params).body
    assert body["messages"] == [{"role": "user", "content": 'Is "{{text}} you" rude? Answer {"rude": 0 or 1}.'}]


@pytest.mark.parametrize(
    ("shape", "data", "params", "why"),
    [
        ("tensorflow", Data(), {}, "this input has none"),
        ("tensorflow", Data(image=Media(url="http://x")), {}, "this input has none"),
        ("openinference", Data(embeddings=(Embedding((1.0,)),)), {}, "this input has none"),
        ("chat", Data(tensors=(Tensor([1]),)), CAPTION, "the prompt finds nothing in this input"),
        ("chat", Data(image=None, raw=Raw(b"x")), {"prompt": "{{text}}?"}, "the prompt finds nothing in this input"),
        ("clarifai", Data(tensors=(Tensor(2**70),)), {}, "cannot be written as JSON"),
    ],
)
def test_an_input_that_a_shape_cannot_carry_is_refused(
    shape: str, data: Data, params: dict[str, Any], why: str
) -> None:
    with pytest.raises(RefusedError, match=why) as caught:
        asked(server(shape), data, params)
    assert caught.value.reason == "unsendable"


def test_predict_answers_become_concepts_with_the_models_labels() -> None:
    labelled = said(server("tensorflow", labels=("cat", "dog")), {"predictions": [[0.75, 0.25]]})
    assert labelled.concepts == (Concept("cat", 0.75), Concept("dog", 0.25))
    few = said(server("tensorflow", labels=("cat",)), {"predictions": [[0.75, 0.25]]})
    assert [concept.id for concept in few.concepts] == ["cat", "1"]


def test_a_mapping_finds_embeddings_regions_and_text_in_any_answer() -> None:
    output = {
        "embeddings": "outputs[?name=='e'].data | [0]",
        "text": "outputs[?name=='caption'].data | [0][0]",
        "concepts": "outputs[?name=='p'].data | [0]",
        "regions": "boxes",
        "metadata": "parameters",
    }
    answer = {
        "outputs": [{"name": "e", "data": [0.5, -1]}, {"name": "caption", "data": [" a cat "]},
                    {"name": "p", "data": [0.9, 0.8]}],
        "boxes": [{"box": [0.0, 0.1, 0.5, 1.0], "label": "cat", "score": 0.5}],
        "parameters": {"took": 3},
    }  # fmt: skip
    found = said(server("openinference", output=output, labels=("cat", "mat")), answer)
    assert found.embeddings == (Embedding((0.5, -1.0)),)
    assert found.text == Text("a cat")
    assert found.concepts == (Concept("cat", 0.9), Concept("mat", 0.8))
    assert (found.regions[0].box, found.regions[0].concepts) == ((0.0, 0.1, 0.5, 1.0), (Concept("cat", 0.5),))
    assert found.metadata == {"took": 3}
    assert said(server("openinference", output=output), {"outputs": []}).is_empty


def test_a_workflow_answers_with_the_output_of_each_node() -> None:
    outputs = [{"data": {"text": {"raw": "hi"}}}, {"data": {"concepts": [{"id": "cat", "value": 0.5}]}}]
    body = orjson.dumps({"status": {"code": 10000}, "results": [{"outputs": outputs}]})
    model = server("clarifai-workflow")
    parts = read_answer(model, question_of(model, Data(), {}), Answer(200, body))
    assert parts == (Data(text=Text("hi")), Data(concepts=(Concept("cat", 0.5),)))


def test_a_chat_answer_is_a_caption_a_label_or_json() -> None:
    assert chat(completion(" A cat. \n")).text == Text("A cat.")
    assert chat(completion("  ")).is_empty
    assert chat(completion([{"type": "text", "text": "A "}, {"type": "text", "text": "cat."}])).text == Text("A cat.")
    assert chat(completion("**Rude**."), answer="label", labels=["polite", "rude"]).concepts == (Concept("rude"),)
    judged = chat(completion('```json\n{"label": "rude", "score": 0.8, "why": "tone"}\n```'), answer="json")
    assert judged.concepts == (Concept("rude", 0.8),)
    assert judged.metadata == {"why": "tone"}
    mapped = said(
        server("chat", output={"concepts": "tags"}), completion('{"tags": {"a": 0.5}}'), {**CAPTION, "answer": "json"}
    )
    assert mapped == Data(concepts=(Concept("a", 0.5),))


@pytest.mark.parametrize(
    ("answer", "params", "reason", "why"),
    [
        (completion("maybe"), {"answer": "label", "labels": ["a"]}, "unreadable", "named none of the labels a"),
        (completion("no JSON"), {"answer": "json"}, "unreadable", "the model's text is no JSON"),
        (completion('{"a', finish_reason="length"), {"answer": "json"}, "unreadable", "cut short by its limit"),
        (completion("[1]"), {"answer": "json"}, "unreadable", "must be an object"),
        (completion('{"concepts": 3.5}'), {"answer": "json"}, "unreadable", "concepts: must be"),
        (completion("", finish_reason="content_filter"), {}, "refused", "declined"),
        (completion(None, message={"content": None, "refusal": "I cannot"}), {}, "refused", "declined"),
        (completion(None), {}, "unreadable", "content: must be text"),
        ({"error": {"message": "no"}}, {}, "unreadable", r"choices\[0\].message: must be an object"),
    ],
)
def test_a_chat_answer_that_is_none_is_refused_by_name(
    answer: object, params: dict[str, Any], reason: str, why: str
) -> None:
    with pytest.raises(RefusedError, match=why) as caught:
        chat(answer, **params)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "key_refused"), (403, "key_refused"), (408, "timeout"), (425, "unavailable"), (429, "throttled"),
        (500, "failed"), (502, "unavailable"), (503, "unavailable"), (504, "timeout"), (599, "failed"),
    ],
)  # fmt: skip
def test_a_status_that_says_nothing_of_the_input_is_worth_another_try(status: int, reason: str) -> None:
    for shape in URLS:
        with pytest.raises(AwayError, match=f"the model answered {status}: busy") as caught:
            said(server(shape), b"busy", CAPTION if shape == "chat" else {}, status)
        assert caught.value.reason == reason


@pytest.mark.parametrize("status", [302, 400, 404, 413, 415, 422])
def test_a_status_about_the_input_is_for_good(status: int) -> None:
    with pytest.raises(RefusedError, match=rf"the model answered {status}: 'bad\\n'") as caught:
        said(server("tensorflow"), b"bad\n", status=status)
    assert caught.value.reason == "refused"


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (11005, AwayError, "throttled"), (10030, AwayError, "failed"), (21354, AwayError, "failed"),
        (11009, AwayError, "key_refused"), (21200, RefusedError, "refused"), (10020, RefusedError, "refused"),
    ],
)  # fmt: skip
def test_a_clarifai_code_tells_before_the_status(code: int, kind: type[AwayError | RefusedError], reason: str) -> None:
    failed = {"status": {"code": code, "description": "why"}}
    for model, answer in (
        (server("clarifai"), failed),
        (server("clarifai"), {"status": {"code": 10010}, "outputs": [failed]}),
        (server("clarifai-workflow"), {"results": [failed]}),
    ):
        with pytest.raises(kind, match=f"{code}: why") as caught:
            said(model, answer)
        assert vars(caught.value)["reason"] == reason


def test_of_a_clarifai_code_and_a_status_the_one_that_gives_hope_counts() -> None:
    for code, http in ((11005, 400), (10020, 503)):
        with pytest.raises(AwayError):
            said(server("clarifai"), {"status": {"code": code}}, status=http)


@pytest.mark.parametrize("shape", URLS)
@pytest.mark.parametrize("answer", [b"<html>", b"", b"[]", b"{}", b'{"predictions": 3, "choices": 3}'])
def test_a_wrong_answer_is_unreadable(shape: str, answer: bytes) -> None:
    with pytest.raises(RefusedError, match="the model's answer cannot be read") as caught:
        said(server(shape), answer, CAPTION if shape == "chat" else {})
    assert caught.value.reason == "unreadable"


names = st.sampled_from(
    ["outputs", "predictions", "results", "choices", "message", "content", "data", "status", "code", "concepts", "text",
     "regions", "embeddings", "label", "score", "box", "name", "datatype", "shape", "vector", "id", "value", "raw"]
)  # fmt: skip
leaves = st.none() | st.booleans() | st.integers(-3, 30_000) | st.floats(allow_nan=False) | st.text(max_size=3)
anything = st.recursive(
    leaves, lambda x: st.lists(x, max_size=3) | st.dictionaries(names, x, max_size=4), max_leaves=12
)
MAPPING = {"text": "text", "concepts": "concepts", "regions": "regions", "embeddings": "embeddings[].vector"}


@settings(max_examples=300)
@given(st.sampled_from(list(SHAPES)), anything, st.sampled_from([200, 200, 400, 503]), st.booleans(), st.booleans())
def test_whatever_a_server_sends_ends_in_data_or_under_a_name(
    shape: str, answer: object, status: int, is_mapped: bool, is_wrapped: bool
) -> None:
    model = server(shape, labels=("a", "b"), output=MAPPING if is_mapped else {})
    params = {**CAPTION, "answer": "json"} if shape == "chat" else {}
    if is_wrapped:
        answer = completion(orjson.dumps(answer).decode()) if shape == "chat" else {"outputs": [{"data": answer}]}
    try:
        parts = read_answer(model, question_of(model, Data(), params), Answer(status, orjson.dumps(answer)))
    except (AwayError, RefusedError):
        return
    assert all(isinstance(part, Data) for part in parts)
    assert status == 200


@pytest.mark.parametrize(
    ("shape", "params", "faults"),
    [
        ("chat", {}, ["params.prompt: is missing"]),
        ("chat", {"prompt": "{{txt}}"}, ["params.prompt: has no place {{txt}}"]),
        ("chat", {"prompt": "{{metadata.}}"}, ["params.prompt: has no place {{metadata.}}"]),
        ("chat", {"prompt": "x", "options": {"stream": True}}, ["params.options: must not hold stream"]),
        ("chat", {"prompt": "x", "anser": "json", "labels": 3}, ["params.labels: must be a list", "params.anser: no"]),
        ("tensorflow", {"signature": "x"}, ["params.signature: no such field: did you mean signature_name?"]),
        ("openinference", {"parameters": {"a": [1]}}, ["params.parameters"]),
        ("clarifai", {"anything": [1]}, []),
        ("clarifai-workflow", {"anything": 1}, ["params.anything: no such field: there is none"]),
    ],
)
def test_faults_in_params_are_found_at_once(shape: str, params: dict[str, Any], faults: list[str]) -> None:
    found = [str(problem) for problem in problems_of_params(server(shape), params)]
    assert len(found) >= len(faults)
    for fault in faults:
        assert any(text.startswith(fault) for text in found), found
    assert bool(found) == bool(faults)


def test_a_servers_own_params_may_leave_the_rest_to_the_node() -> None:
    model = server("chat", params={"options": {"temperature": 0}})
    assert problems_of_params(model, {}, is_partial=True) == []
    assert [problem.field for problem in problems_of_params(model, {})] == ["params.prompt"]
    assert problems_of_params(server("chat", params={"prompt": 3}), {}, is_partial=True)[0].field == "params.prompt"


def test_a_prompts_places_are_filled_once() -> None:
    prompt = "{{tensors}}|{{ concepts }}|{{metadata.a.b}}"
    data = Data(tensors=(Tensor([1, 2]),), concepts=(Concept("cat", 0.51234),), metadata={"a": {"b": [1]}})
    assert fill(prompt, data) == "[1,2]|cat 0.512|[1]"
    assert fill(prompt, Data()) == "||"


def test_an_expression_that_does_not_suit_the_answer_is_said_by_its_field() -> None:
    with pytest.raises(RefusedError, match=r"output.text: JMESPathTypeError in the answer"):
        said(server("tensorflow", output={"text": "join(',', predictions)"}), {"predictions": 3})
