"""EndpointSlices: what a Service's pods are and which of them take new requests. Pure functions.

https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

SERVICE = "kubernetes.io/service-name"
"""The label that names a slice's Service."""
READY, LOADING, DRAINING, GONE = "ready", "loading", "draining", "gone"


class _Json(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Of an object of the API, the fields that are of use. Go writes an empty list as null."""


class Zone(_Json, frozen=True):
    name: str


class Hints(_Json, frozen=True):
    for_zones: tuple[Zone, ...] | None = None


class Conditions(_Json, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Pod(_Json, frozen=True):
    """An `Endpoint` of a slice."""

    addresses: tuple[str, ...]
    """All of them lead to the same pod; the API promises no more than that the first one is of use."""
    conditions: Conditions = Conditions()
    hints: Hints | None = None

    @property
    def state(self) -> str:
        """Unknown conditions are read as the API asks for: ready unless said otherwise, serving as it is ready."""
        conditions = self.conditions
        ready = conditions.ready is not False
        serving = conditions.serving if conditions.serving is not None else ready
        if conditions.terminating:
            return DRAINING if serving else GONE
        return READY if ready else LOADING

    @property
    def zones(self) -> set[str]:
        return {zone.name for zone in (self.hints.for_zones if self.hints else None) or ()}


class Port(_Json, frozen=True):
    name: str | None = None
    port: int | None = None


class Metadata(_Json, frozen=True):
    name: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None


class RawSlice(_Json, frozen=True):
    metadata: Metadata
    address_type: str = "IPv4"
    endpoints: tuple[Pod, ...] | None = None
    ports: tuple[Port, ...] | None = None


class ListMetadata(_Json, frozen=True):
    resource_version: str = ""
    continue_: str | None = msgspec.field(default=None, name="continue")


class SliceList(_Json, frozen=True):
    metadata: ListMetadata
    items: tuple[RawSlice, ...] | None = None


class Slice(msgspec.Struct, frozen=True, gc=False):
    """What is kept of one."""

    service: str
    family: str
    """IPv4 or IPv6; of FQDN, which is deprecated, no use is made."""
    pods: tuple[Pod, ...]
    ports: tuple[Port, ...]


def kept(raw: RawSlice) -> Slice:
    service = (raw.metadata.labels or {}).get(SERVICE, "")
    return Slice(service, raw.address_type, raw.endpoints or (), raw.ports or ())


def addresses(slices: Iterable[Slice], port: str | int, zone: str | None) -> tuple[str, ...]:
    """Where new requests of a Service may go, `http://host:port` each, in order.

    With `zone`, those that the control plane means for it, as kube-proxy chooses them: where each pod has a hint, and
    one is for the zone.
    """
    ready = {url: pod for url, pod in _pods(slices, port) if pod.state == READY}
    if zone is not None and all(pod.zones for pod in ready.values()):
        ready = {url: pod for url, pod in ready.items() if zone in pod.zones} or ready
    return tuple(sorted(ready))


def states(slices: Iterable[Slice], port: str | int) -> Counter[str]:
    """How many of a Service's pods are in which state. One that two slices have counts once."""
    return Counter({url: pod.state for url, pod in _pods(slices, port)}.values())


def _pods(slices: Iterable[Slice], port: str | int) -> list[tuple[str, Pod]]:
    """Each pod's URL, of one address family: a pod of a dual-stack Service is in a slice of either."""
    known = list(slices)
    family = "IPv4" if any(each.family == "IPv4" for each in known) else "IPv6"
    found = []
    for each in known:
        number = _number(each.ports, port)
        if each.family == family and number is not None:
            host = "http://{}:{}" if family == "IPv4" else "http://[{}]:{}"
            found += [(host.format(pod.addresses[0], number), pod) for pod in each.pods if pod.addresses]
    return found


def _number(ports: Sequence[Port], port: str | int) -> int | None:
    """The pods' port: a number is one already, and a Service of a single port may have left it without a name."""
    if isinstance(port, int):
        return port
    named = next((each.port for each in ports if each.name == port), None)
    return ports[0].port if named is None and len(ports) == 1 and not ports[0].name else named
