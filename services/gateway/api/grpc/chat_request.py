"""A chat request as the JSON body of OpenAI's API. A field that is not set is not sent."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec

from services.common.errors import InvalidField
from services.common.pb.naru.v1 import chat_pb2 as pb
from services.gateway.api.grpc.values import names, plain, raw_json

ROLES = names(pb.Role)
MODES = names(pb.ToolChoice.Mode)
FORMATS = names(pb.ResponseFormat.Type)


def chat_body(request: pb.ChatRequest) -> bytes:
    """The body of a whole answer's request. Raises InvalidField."""
    return msgspec.json.encode(_fields(request) | {"stream": False})


def stream_body(request: pb.StreamChatRequest) -> bytes:
    """The body of a stream's request. Raises InvalidField."""
    fields = _fields(request.chat) | {"stream": True}
    if request.HasField("stream_options"):
        options = request.stream_options
        fields["stream_options"] = plain(options.extra, "stream_options.extra") | _scalars(options)
    return msgspec.json.encode(fields)


def _fields(request: pb.ChatRequest) -> dict[str, Any]:
    fields = plain(request.extra, "extra") | _scalars(request)
    fields["messages"] = [_message(message, f"messages[{i}]") for i, message in enumerate(request.messages)]
    if request.model:
        fields["model"] = request.model
    for name in ("stop", "modalities"):
        if values := list(getattr(request, name)):
            fields[name] = values
    if request.logit_bias:
        fields["logit_bias"] = {str(token): bias for token, bias in request.logit_bias.items()}
    if request.metadata:
        fields["metadata"] = dict(request.metadata)
    if request.tools:
        fields["tools"] = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(request.tools)]
    if request.HasField("tool_choice"):
        fields["tool_choice"] = _tool_choice(request.tool_choice)
    if request.HasField("response_format"):
        fields["response_format"] = _response_format(request.response_format)
    return fields


def _scalars(message: Any) -> dict[str, Any]:
    """The `optional` fields that are set; their names are OpenAI's."""
    return {field.name: value for field, value in message.ListFields() if field.has_presence and not field.message_type}


def _message(message: pb.ChatMessage, name: str) -> dict[str, Any]:
    fields = plain(message.extra, f"{name}.extra")
    role = ROLES.get(message.role)
    if role is not None:
        fields["role"] = role
    elif "role" not in fields:
        raise InvalidField(f"{name}.role is missing", param=f"{name}.role")
    scalars = _scalars(message)
    if "reasoning_content" in scalars:
        scalars["reasoning"] = scalars.pop("reasoning_content")  # vLLM's name for it
    fields |= scalars
    if message.parts:
        if message.HasField("content"):
            raise InvalidField(f"{name}: give content or parts, not both", param=f"{name}.parts")
        fields["content"] = [_part(part, f"{name}.parts[{i}]") for i, part in enumerate(message.parts)]
    if message.tool_calls:
        fields["tool_calls"] = [
            _tool_call(call, f"{name}.tool_calls[{i}]") for i, call in enumerate(message.tool_calls)
        ]
    if message.HasField("function_call"):
        fields["function_call"] = _function_call(message.function_call)
    if message.HasField("audio"):
        fields["audio"] = {"id": message.audio.id}
    return fields


def _part(part: pb.ContentPart, name: str) -> dict[str, Any]:
    kind = part.WhichOneof("part")
    if kind is None:
        raise InvalidField(f"{name} is empty", param=name)
    if kind == "other":
        return plain(part.other, f"{name}.other")
    value = getattr(part, kind)
    translate = _PARTS.get(kind)
    return {"type": kind, kind: value if translate is None else translate(value)}


def _image(image: pb.ImageUrl) -> dict[str, Any]:
    return {"url": image.url} | _scalars(image)


def _medium(medium: pb.MediaUrl) -> dict[str, Any]:
    return {"url": medium.url}


def _audio(audio: pb.InputAudio) -> dict[str, Any]:
    return {"data": base64.b64encode(audio.data).decode(), "format": audio.format}


_PARTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "image_url": _image, "video_url": _medium, "audio_url": _medium, "input_audio": _audio, "file": _scalars,
}  # fmt: skip
"""Kinds of parts that are objects; the others are texts."""


def _tool(tool: pb.Tool, name: str) -> dict[str, Any]:
    match tool.WhichOneof("tool"):
        case "function":
            function = {"name": tool.function.name} | _scalars(tool.function)
            if "parameters_json" in function:
                function["parameters"] = raw_json(function.pop("parameters_json"), f"{name}.function.parameters_json")
            return {"type": "function", "function": function}
        case "custom":
            custom = {"name": tool.custom.name} | _scalars(tool.custom)
            if tool.custom.HasField("format"):
                custom["format"] = plain(tool.custom.format, f"{name}.custom.format")
            return {"type": "custom", "custom": custom}
        case "other":
            return plain(tool.other, f"{name}.other")
    raise InvalidField(f"{name} is empty", param=name)


def _tool_choice(choice: pb.ToolChoice) -> Any:
    match choice.WhichOneof("choice"):
        case "mode" if choice.mode in MODES:
            return MODES[choice.mode]
        case "function":
            return {"type": "function", "function": {"name": choice.function}}
        case "custom":
            return {"type": "custom", "custom": {"name": choice.custom}}
        case "other":
            return plain(choice.other, "tool_choice.other")
    raise InvalidField("tool_choice is empty", param="tool_choice")


def _tool_call(call: pb.ToolCall, name: str) -> dict[str, Any]:
    match call.WhichOneof("call"):
        case "function":
            return {"id": call.id, "type": "function", "function": _function_call(call.function)}
        case "custom":
            return {"id": call.id, "type": "custom", "custom": {"name": call.custom.name, "input": call.custom.input}}
    raise InvalidField(f"{name} is empty", param=name)


def _function_call(call: pb.FunctionCall) -> dict[str, Any]:
    return {"name": call.name, "arguments": call.arguments}


def _response_format(form: pb.ResponseFormat) -> dict[str, Any]:
    match form.WhichOneof("format"):
        case "type" if form.type in FORMATS:
            return {"type": FORMATS[form.type]}
        case "json_schema":
            given = form.json_schema
            schema = {"name": given.name} | _scalars(given)
            schema["schema"] = raw_json(given.schema_json, "response_format.json_schema.schema_json")
            return {"type": "json_schema", "json_schema": schema}
        case "other":
            return plain(form.other, "response_format.other")
    raise InvalidField("response_format is empty", param="response_format")
