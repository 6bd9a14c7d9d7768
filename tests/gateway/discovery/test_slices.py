"""What EndpointSlices say, and which of their pods take new requests."""

from typing import Any

import msgspec
import pytest

from services.gateway.upstream.discovery.slices import RawSlice, Slice, addresses, kept, states
from tests.support.kubernetes import endpoint_slice, pod


def read(*made: dict[str, Any]) -> list[Slice]:
    return [kept(msgspec.json.decode(msgspec.json.encode(each), type=RawSlice)) for each in made]


def urls(*made: dict[str, Any], port: str | int = "http", zone: str | None = None) -> tuple[str, ...]:
    return addresses(read(*made), port, zone)


@pytest.mark.parametrize(
    ("conditions", "state", "taken"),
    [
        ({}, "ready", True),
        ({"ready": None}, "ready", True),
        ({"ready": False}, "loading", False),
        ({"ready": False, "serving": True, "terminating": True}, "draining", False),
        ({"ready": True, "terminating": True}, "draining", False),  # publishNotReadyAddresses
        ({"ready": False, "serving": False, "terminating": True}, "gone", False),
        ({"ready": False, "terminating": True}, "gone", False),
    ],
)
def test_conditions(conditions: dict[str, Any], state: str, taken: bool) -> None:
    made = endpoint_slice("llm", pod("10.0.0.1", **conditions))
    assert states(read(made), "http") == {state: 1}
    assert urls(made) == (("http://10.0.0.1:8000",) if taken else ())


def test_several_slices_are_one_service_and_a_pod_in_two_of_them_is_one() -> None:
    first = endpoint_slice("llm", pod("10.0.0.1"), pod("10.0.0.2"), name="a")
    second = endpoint_slice("llm", pod("10.0.0.2"), pod("10.0.0.3"), name="b")
    assert urls(first, second) == tuple(f"http://10.0.0.{n}:8000" for n in (1, 2, 3))
    assert states(read(first, second), "http") == {"ready": 3}


def test_a_dual_stack_service_is_one_set_of_pods() -> None:
    four = endpoint_slice("llm", pod("10.0.0.1"), name="a")
    six = endpoint_slice("llm", pod("fd00::1"), name="b", family="IPv6")
    assert urls(six, four) == ("http://10.0.0.1:8000",)
    assert urls(six) == ("http://[fd00::1]:8000",)
    assert urls(endpoint_slice("llm", pod("a.example"), family="FQDN")) == ()


def test_ports_by_name_by_number_and_the_only_one() -> None:
    made = endpoint_slice("llm", pod("10.0.0.1"), port=8000, port_name="http")
    assert urls(made, port="metrics") == ()
    assert urls(made, port=9000) == ("http://10.0.0.1:9000",)
    assert urls(endpoint_slice("llm", pod("10.0.0.1"), port=8000, port_name="")) == ("http://10.0.0.1:8000",)
    assert urls({**made, "ports": None}) == ()
    assert urls({**made, "ports": None}, port=9000) == ("http://10.0.0.1:9000",)


def test_the_zones_own_pods_where_every_pod_has_a_hint() -> None:
    near, far = pod("10.0.0.1", zones=("a",)), pod("10.0.0.2", zones=("b",))
    both = ("http://10.0.0.1:8000", "http://10.0.0.2:8000")
    made = endpoint_slice("llm", near, far)
    assert urls(made) == both
    assert urls(made, zone="a") == both[:1]
    assert urls(made, zone="c") == both  # nobody is meant for it: all are better than none
    assert urls(endpoint_slice("llm", near, pod("10.0.0.2")), zone="a") == both
    assert urls(endpoint_slice("llm", pod("10.0.0.1", zones=("a",), ready=False), far), zone="a") == both[1:]


@pytest.mark.parametrize("empty", [{"endpoints": None}, {"endpoints": []}, {"ports": None}])
def test_an_empty_slice(empty: dict[str, Any]) -> None:
    assert urls({**endpoint_slice("llm"), **empty}) == ()
    assert urls({**endpoint_slice("llm", {"addresses": []})}) == ()
