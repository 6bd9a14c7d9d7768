"""What tests of several folders share."""

from collections.abc import Iterator

import pytest

from tests.support.oip.official import Official


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
