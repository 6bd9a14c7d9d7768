"""What tests of several folders share."""

import os
from collections.abc import Iterator

import pytest

from tests.support.oip.official import Official

# gRPC, once imported, takes part in every fork of its process, and its threads can hold up the child for ever. The
# tests of `naru up` start services from the process in which gRPC's tests ran; elsewhere that process has no gRPC.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"


@pytest.fixture(scope="session")
def triton() -> Iterator[Official]:
    """Triton's client, in a process of its own."""
    made = Official("with_triton")
    yield made
    made.close()


@pytest.fixture(scope="session")
def kserve() -> Iterator[Official]:
    """KServe's clients, in a process of their own."""
    made = Official("with_kserve")
    yield made
    made.close()
