"""What tests of several folders share."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.oip.official import Official

# gRPC, once imported, takes part in every fork of its process, and its threads can hold up the child for ever. The
# tests of `naru up` start services from the process in which gRPC's tests ran; elsewhere that process has no gRPC.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

# The same examples each time, however long a busy machine takes for one.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


def pytest_collection_finish() -> None:
    """What is there by now stays. To walk all of it in each collection takes 0.3 s, in which a server in a test's own
    process answers nobody: as long as some of the time limits that tests set."""
    gc.collect()
    gc.freeze()


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
