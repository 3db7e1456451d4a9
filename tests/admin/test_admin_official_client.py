"""The vendor's own client, pinned at its last version with Collectors, against the real admin server."""

from __future__ import annotations

from typing import Any

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_code_pb2
from support.admin import Admin
from support.official_client import OfficialClient

SECRET = "pat-0123456789abcdef"
OWNERS = [resources_pb2.UserAppIDSet(user_id="me", app_id="main"), None]


@pytest.fixture
def client(locked_admin: Admin) -> OfficialClient:
    return OfficialClient(locked_admin.url, "correct-token")


def collector(name: str = "mine", **fields: Any) -> Any:
    source = resources_pb2.APIPostModelOutputsCollectorSource(
        model_user_id="ann", model_app_id="lab", model_id="digits", caller_user_id="bob", post_inputs_key_id=SECRET
    )
    made = resources_pb2.Collector(
        id=name,
        description="mine alone",
        collector_source=resources_pb2.CollectorSource(api_post_model_outputs_collector_source=source),
        **({"pre_queue_random_sample": 0.25} | fields),
    )
    made.status.code = status_code_pb2.COLLECTOR_ACTIVE
    return made


@pytest.mark.parametrize("owner", OWNERS)
async def test_all_five_collector_calls(locked_admin: Admin, client: OfficialClient, owner: Any) -> None:
    request = service_pb2.PostCollectorsRequest(user_app_id=owner, collectors=[collector(), collector("other")])
    posted = await client("PostCollectors", request)
    assert posted.status.code == status_code_pb2.SUCCESS
    assert [each.id for each in posted.collectors] == ["mine", "other"]
    assert posted.collectors[0].created_at.seconds == 1_700_000_000
    assert posted.collectors[0].pre_queue_random_sample == 0.25

    change = resources_pb2.Collector(id="mine", collect_outputs=True)
    change.status.code = status_code_pb2.COLLECTOR_INACTIVE
    request = service_pb2.PatchCollectorsRequest(user_app_id=owner, collectors=[change], action="overwrite")
    patched = await client("PatchCollectors", request)
    assert patched.status.code == status_code_pb2.SUCCESS

    got = await client("GetCollector", service_pb2.GetCollectorRequest(user_app_id=owner, collector_id="mine"))
    assert got.collector == patched.collectors[0]
    assert got.collector.status.code == status_code_pb2.COLLECTOR_INACTIVE
    assert got.collector.collect_outputs
    assert got.collector.description == "mine alone"
    source = got.collector.collector_source.api_post_model_outputs_collector_source
    assert (source.model_user_id, source.caller_user_id) == ("ann", "bob")
    assert source.post_inputs_key_id not in ("", SECRET)
    assert await locked_admin.shop.secrets.reveal(source.post_inputs_key_id) == SECRET

    listed = await client("ListCollectors", service_pb2.ListCollectorsRequest(user_app_id=owner, page=2, per_page=1))
    assert [each.id for each in listed.collectors] == ["other"]

    request = service_pb2.DeleteCollectorsRequest(user_app_id=owner, ids=["mine", "other"])
    assert (await client("DeleteCollectors", request)).status.code == status_code_pb2.SUCCESS
    assert locked_admin.jobs.dropped == ["mine", "other"]
    missing = await client("GetCollector", service_pb2.GetCollectorRequest(user_app_id=owner, collector_id="mine"))
    assert missing.status.code == status_code_pb2.COLLECTOR_MISSING
    assert SECRET.encode() not in locked_admin.shop.bytes_on_disk
    assert SECRET not in locked_admin.shop.log.getvalue()


async def test_a_workflow_and_a_collector_that_uses_it(client: OfficialClient) -> None:
    model = resources_pb2.Model(id="below", model_type_id="concept-thresholder")
    model.output_info.params.update({"concept_threshold_type": 3, "require": "all"})
    model.output_info.data.concepts.add(id="*", value=0.6)
    node = resources_pb2.WorkflowNode(id="below", model=model)
    request = service_pb2.PostWorkflowsRequest(workflows=[resources_pb2.Workflow(id="unsure", nodes=[node])])
    assert (await client("PostWorkflows", request)).status.code == status_code_pb2.SUCCESS
    got = await client("GetWorkflow", service_pb2.GetWorkflowRequest(workflow_id="unsure"))
    assert got.workflow.nodes[0].model.id == "below"
    assert got.workflow.nodes[0].model.output_info.data.concepts[0].value == pytest.approx(0.6)
    using = collector(pre_queue_random_sample=0, pre_queue_workflow_id="unsure")
    posted = await client("PostCollectors", service_pb2.PostCollectorsRequest(collectors=[using]))
    assert posted.collectors[0].pre_queue_workflow_id == "unsure"


async def test_faults_reach_the_client_with_their_codes(client: OfficialClient) -> None:
    post = service_pb2.PostCollectorsRequest
    nothing = await client("PostCollectors", post(collectors=[collector(pre_queue_random_sample=0)]))
    assert nothing.status.code == status_code_pb2.CONN_INVALID_REQUEST
    assert "collectors[0]: three workflows missing" in nothing.status.details
    absent = await client("PostCollectors", post(collectors=[collector(pre_queue_workflow_id="nowhere")]))
    assert absent.status.code == status_code_pb2.WORKFLOW_DOES_NOT_EXIST
    twice = await client("PostCollectors", post(collectors=[collector(), collector()]))
    assert twice.status.code == status_code_pb2.DATABASE_DUPLICATE_KEY
    assert SECRET not in str(nothing) + str(absent) + str(twice)
    assert not (await client("ListCollectors", service_pb2.ListCollectorsRequest())).collectors


async def test_inputs_by_the_clients_own_call(client: OfficialClient) -> None:
    text = resources_pb2.Data(text=resources_pb2.Text(raw="hello"))
    text.concepts.add(id="calm", value=0.0)
    inputs = [resources_pb2.Input(id="one", data=text)]
    posted = await client("PostInputs", service_pb2.PostInputsRequest(inputs=inputs))
    assert posted.inputs[0].status.code == status_code_pb2.INPUT_DOWNLOAD_PENDING
    listed = await client("ListInputs", service_pb2.ListInputsRequest())
    assert listed.inputs[0].data.text.raw == "hello"
    assert listed.inputs[0].data.concepts[0].value == 0.0
    again = await client("PostInputs", service_pb2.PostInputsRequest(inputs=inputs))
    assert again.inputs[0].status.details == "Input has a duplicate ID."


async def test_a_workflow_is_changed_and_deleted_by_the_clients_own_calls(client: OfficialClient) -> None:
    model = resources_pb2.Model(id="sample", model_type_id="random-sample")
    node = resources_pb2.WorkflowNode(id="sample", model=model)
    made = resources_pb2.Workflow(id="tenth", nodes=[node])
    await client("PostWorkflows", service_pb2.PostWorkflowsRequest(workflows=[made]))
    model.output_info.params.update({"keep_fraction": 0.1})
    node = resources_pb2.WorkflowNode(id="sample", model=model)
    change = resources_pb2.Workflow(id="tenth", description="new", nodes=[node])
    request = service_pb2.PatchWorkflowsRequest(workflows=[change], action="overwrite")
    patched = await client("PatchWorkflows", request)
    assert patched.status.code == status_code_pb2.SUCCESS
    assert patched.workflows[0].nodes[0].model.output_info.params["keep_fraction"] == 0.1
    using = collector(pre_queue_workflow_id="tenth")
    await client("PostCollectors", service_pb2.PostCollectorsRequest(collectors=[using]))
    for name, request in (
        ("DeleteWorkflow", service_pb2.DeleteWorkflowRequest(workflow_id="tenth")),
        ("DeleteWorkflows", service_pb2.DeleteWorkflowsRequest(ids=["tenth"])),
    ):
        refused = await client(name, request)
        assert refused.status.code == status_code_pb2.WORKFLOW_INVALID_ARGUMENT
        assert "is in use by mine" in refused.status.details
    await client("DeleteCollectors", service_pb2.DeleteCollectorsRequest(delete_all=True))
    gone = await client("DeleteWorkflow", service_pb2.DeleteWorkflowRequest(workflow_id="tenth"))
    assert gone.status.code == status_code_pb2.SUCCESS
    assert not (await client("ListWorkflows", service_pb2.ListWorkflowsRequest())).workflows


async def test_inputs_are_deleted_by_the_clients_own_calls(client: OfficialClient) -> None:
    inputs = [
        resources_pb2.Input(id=name, data=resources_pb2.Data(text=resources_pb2.Text(raw=name)))
        for name in ("one", "two", "three")
    ]
    await client("PostInputs", service_pb2.PostInputsRequest(inputs=inputs))
    await client("DeleteInput", service_pb2.DeleteInputRequest(input_id="one"))
    await client("DeleteInputs", service_pb2.DeleteInputsRequest(ids=["two"]))
    assert [each.id for each in (await client("ListInputs", service_pb2.ListInputsRequest())).inputs] == ["three"]
