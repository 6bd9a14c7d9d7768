"""What an application does with Triton's client; its HTTP and its gRPC library are used alike."""

from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

LIBRARIES = {"http": tritonclient.http, "grpc": tritonclient.grpc}
Headers = dict[str, str]


def client(transport: str, address: str) -> Any:
    return LIBRARIES[transport].InferenceServerClient(address)


def health(transport: str, address: str, models: list[list[str]]) -> dict[str, Any]:
    with client(transport, address) as server:
        return {
            "live": server.is_server_live(),
            "ready": server.is_server_ready(),
            "models": [server.is_model_ready(name, version) for name, version in models],
        }


def metadata(transport: str, address: str, headers: Headers, model: str, version: str = "") -> dict[str, Any]:
    options = {"as_json": True} if transport == "grpc" else {}
    with client(transport, address) as server:
        return {
            "server": server.get_server_metadata(headers=headers, **options),
            "model": server.get_model_metadata(model, version, headers=headers, **options),
        }


def infer(
    transport: str, address: str, headers: Headers, model: str, inputs: dict[str, tuple[str, Any]], *,
    outputs: dict[str, bool] | None = None, binary: bool = True, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """`inputs`: a datatype and nested data by name; `outputs`: whether binary, by name. HTTP has both forms."""
    library = LIBRARIES[transport]
    http: dict[str, bool] = {"binary_data": binary} if transport == "http" else {}
    wanted = [
        library.InferRequestedOutput(name, **({"binary_data": wish} if http else {}))
        for name, wish in (outputs or {}).items()
    ]
    given = [_tensor(library, name, datatype, data, http) for name, (datatype, data) in inputs.items()]
    with client(transport, address) as server:
        try:
            result = server.infer(model, given, outputs=wanted or None, headers=headers, **options)
        except InferenceServerException as error:
            return {"status": error.status(), "message": error.message()}
    answer = result.get_response() if transport == "http" else result.get_response(as_json=True)
    names = [output["name"] for output in answer["outputs"]]
    return {
        "id": answer.get("id"),
        "model": answer["model_name"],
        "version": answer["model_version"],
        "outputs": {name: _plain(result.as_numpy(name)) for name in names},
    }


def _tensor(library: Any, name: str, datatype: str, data: Any, http: dict[str, bool]) -> Any:
    kind = {"BYTES": np.object_, "INT64": np.int64, "INT32": np.int32, "FP32": np.float32, "BOOL": np.bool_}[datatype]
    array: Any = np.array(data, dtype=kind)
    tensor = library.InferInput(name, array.shape, datatype)
    tensor.set_data_from_numpy(array, **http)
    return tensor


def _plain(array: Any) -> Any:
    """BYTES come as bytes over gRPC and as binary data, as text in JSON."""
    if array.dtype == np.object_:
        array = np.vectorize(lambda element: element.decode() if isinstance(element, bytes) else element)(array)
    return array.tolist()
