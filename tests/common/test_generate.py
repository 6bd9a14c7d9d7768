"""The committed code is what the protos give, under the package that it is imported from."""

from pathlib import Path

from google.protobuf.message import Message

from services.common.generate import GENERATED, PROTOS, committed, generate
from services.common.pb.naru.v1 import chat_pb2, recommendation_pb2, sentiment_pb2

FIRST = 'syntax = "proto3";\npackage a.v1;\nmessage One {}\n'
SECOND = 'syntax = "proto3";\npackage b;\nimport "a/v1/first.proto";\nmessage Two { a.v1.One one = 1; }\n'


def test_the_committed_code_is_up_to_date() -> None:
    assert committed(GENERATED) == generate(PROTOS), "run python -m services.common.generate"


def test_generated_modules_import_each_other_below_the_package(tmp_path: Path) -> None:
    for path, text in (("a/v1/first.proto", FIRST), ("b/second.proto", SECOND)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    made = generate(tmp_path)
    assert "from services.common.pb.a.v1 import first_pb2" in made[Path("b/second_pb2.py")]
    assert "from services.common.pb.a.v1 import first_pb2" in made[Path("b/second_pb2.pyi")]
    assert {Path("__init__.py"), Path("a/__init__.py"), Path("a/v1/__init__.py")} <= set(made)
    assert "from google.protobuf" in made[Path("a/v1/first_pb2.py")]


def test_enums_begin_with_unspecified_and_carry_their_name() -> None:
    """As buf's rules ENUM_ZERO_VALUE_SUFFIX and ENUM_VALUE_PREFIX have it."""
    files = [module.DESCRIPTOR for module in (chat_pb2, sentiment_pb2, recommendation_pb2)]
    messages = [message for file in files for message in file.message_types_by_name.values()]
    enums = [enum for holder in (*files, *messages) for enum in holder.enum_types_by_name.values()]
    assert len(enums) == 6
    for enum in enums:
        prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
        assert prefix != enum.values_by_number[0].name
        assert all(value.name.startswith(prefix) for value in enum.values)


def test_every_method_has_a_request_and_an_answer_of_its_own() -> None:
    """As buf's rule RPC_REQUEST_RESPONSE_UNIQUE has it."""
    modules = (chat_pb2, sentiment_pb2, recommendation_pb2)
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    methods = [method for service in services for method in service.methods]
    types: list[type[Message]] = [kind for method in methods for kind in (method.input_type, method.output_type)]
    assert len(set(types)) == len(types) == 8
    assert all(
        (method.input_type.name, method.output_type.name) == (f"{method.name}Request", f"{method.name}Response")
        for method in methods
    )
