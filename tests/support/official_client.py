"""The vendor's own client, over its JSON channel."""

from __future__ import annotations

import asyncio
from typing import Any

from clarifai_grpc.channel.clarifai_channel import ClarifaiChannel
from clarifai_grpc.grpc.api import service_pb2_grpc


class OfficialClient:
    """Calls a method of the client's stub in a thread: it blocks."""

    def __init__(self, url: str, token: str) -> None:
        self._stub = service_pb2_grpc.V2Stub(ClarifaiChannel.get_json_channel(base_url=url))
        self._metadata = (("authorization", f"Key {token}"),)

    async def __call__(self, name: str, request: Any) -> Any:
        return await asyncio.to_thread(getattr(self._stub, name), request, metadata=self._metadata)
