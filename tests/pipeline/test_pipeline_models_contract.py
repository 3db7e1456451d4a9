"""The fake against the vendors' own clients, and our requests beside theirs: so the shapes are the real ones."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from clarifai_grpc.channel.clarifai_channel import ClarifaiChannel
from clarifai_grpc.grpc.api import resources_pb2, service_pb2, service_pb2_grpc
from support.model_fake import BOX, CAPTION, ModelFake, model_fake, status

from sidecar.data import Data, Media
from sidecar.model_server import ModelServer
from sidecar.protocol.model_call import question_of, write_call

PNG = b"\x89PNG\r\n\x1a\n rest"
PICTURE = Data(image=Media(PNG, media_type="image/png"))
METADATA = (("authorization", "Key secret"),)


def ours(server: ModelServer, **params: Any) -> bytes:
    return write_call(server, question_of(server, PICTURE, params)).body


async def test_openais_client_sends_what_we_send_and_reads_what_the_fake_answers() -> None:
    async with (
        model_fake() as fake,
        openai.AsyncOpenAI(base_url=f"{fake.url}/v1", api_key="k", max_retries=0) as client,
    ):
        server = fake.server("chat", name="gpt", params={"options": {"temperature": 0.0, "max_tokens": 20}})
        body = ours(server, prompt="Caption.", system="Be brief.")
        image = body.split(b'"url":"')[1].partition(b'"')[0].decode()
        answer = await client.chat.completions.create(
            model="gpt",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "Caption."}, {"type": "image_url", "image_url": {"url": image}},
                ]},
            ],
            temperature=0.0,
            max_tokens=20,
        )  # fmt: skip
        assert answer.choices[0].message.content == CAPTION
        fake.plan(status(429, '{"error": {"message": "slow down"}}'))
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "x"}])
        theirs, _ = fake.asked
        assert theirs.path == "/v1/chat/completions"
        assert theirs.headers["Authorization"] == "Bearer k"
        assert theirs.body == type(theirs)("", {}, body).body


def stub_of(fake: ModelFake) -> Any:
    return service_pb2_grpc.V2Stub(ClarifaiChannel.get_json_channel(base_url=fake.url))


async def test_clarifais_client_sends_what_we_send_and_reads_what_the_fake_answers() -> None:
    async with model_fake() as fake:
        stub = stub_of(fake)
        user_app = resources_pb2.UserAppIDSet(user_id="u", app_id="a")
        data = resources_pb2.Data(image=resources_pb2.Image(base64=PNG))
        inputs = [resources_pb2.Input(data=data)]
        model = await asyncio.to_thread(
            stub.PostModelOutputs,
            service_pb2.PostModelOutputsRequest(user_app_id=user_app, model_id="food", inputs=inputs),
            metadata=METADATA,
        )
        workflow = await asyncio.to_thread(
            stub.PostWorkflowResults,
            service_pb2.PostWorkflowResultsRequest(user_app_id=user_app, workflow_id="w", inputs=inputs),
            metadata=METADATA,
        )
        output = model.outputs[0].data
        assert (output.concepts[0].id, output.concepts[0].value) == ("cat", 0.75)
        box = output.regions[0].region_info.bounding_box
        assert [round(getattr(box, name), 6) for name in BOX] == list(BOX.values())
        assert [each.data.text.raw for each in workflow.results[0].outputs] == [CAPTION, ""]
        for asked, shape in zip(fake.asked, ("clarifai", "clarifai-workflow"), strict=True):
            server = fake.server(shape)
            assert fake.url + asked.path == server.url
            assert asked.headers["Authorization"] == "Key secret"
            assert asked.body["inputs"] == type(asked)("", {}, ours(server)).body["inputs"]
