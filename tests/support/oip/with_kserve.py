"""What an application does with KServe's clients."""

import asyncio
from typing import Any

import grpc
import httpx
import kserve

Headers = dict[str, str]


def health(transport: str, address: str, model: str) -> dict[str, Any]:
    return asyncio.run(_health(transport, address, model))


async def _health(transport: str, address: str, model: str) -> dict[str, Any]:
    if transport == "grpc":
        async with kserve.InferenceGRPCClient(address) as server:
            return {
                "live": await server.is_server_live(),
                "ready": await server.is_server_ready(),
                "model": await server.is_model_ready(model),
            }
    rest = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
    try:
        return {
            "live": await rest.is_server_live(address),
            "ready": await rest.is_server_ready(address),
            "model": await rest.is_model_ready(address, model),
        }
    finally:
        await rest.close()


def infer(
    transport: str, address: str, headers: Headers, model: str, inputs: dict[str, tuple[str, list[int], list[Any]]]
) -> dict[str, Any]:
    """`inputs`: datatype, shape and flat data by name."""
    request = kserve.InferRequest(
        model_name=model, request_id="42",
        infer_inputs=[
            kserve.InferInput(name=name, shape=shape, datatype=datatype, data=data)
            for name, (datatype, shape, data) in inputs.items()
        ],
    )  # fmt: skip
    try:
        answer = asyncio.run(_infer(transport, address, headers, model, request))
    except httpx.HTTPStatusError as error:
        return {"status": error.response.status_code, "message": str(error)}
    except grpc.aio.AioRpcError as error:
        return {"status": error.code().name, "message": error.details()}
    return {
        "id": answer.id,
        "version": answer.model_version,
        "outputs": {output.name: _plain(output.as_numpy()) for output in answer.outputs},
    }


async def _infer(transport: str, address: str, headers: Headers, model: str, request: Any) -> Any:
    if transport == "grpc":
        async with kserve.InferenceGRPCClient(address) as server:
            return await server.infer(request, headers=list(headers.items()))
    rest = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
    try:
        return await rest.infer(address, request, model_name=model, headers=headers)
    finally:
        await rest.close()


def _plain(array: Any) -> Any:
    found = array.tolist()
    return [e.decode() if isinstance(e, bytes) else e for e in found] if array.ndim == 1 else found
