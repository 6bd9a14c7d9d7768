"""GPU pools: are the GPUs busy, well, and worth their price? DCGM's and kube-state-metrics' figures by node pool."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from services.observability.board import GPU_PRICE, POOL, board
from services.observability.panels import Query, above, graph, number
from services.observability.promql import WINDOW

_POOLED = '* on (node) group_left (pool) naru:node_pool:info{pool=~"$pool"}'
_AT = 'namespace=~"$namespace"'


def _gpu(value: str, by: str = "pool, Hostname, gpu", function: str = "max") -> str:
    """A figure of DCGM's with the pool of its node, which DCGM calls Hostname."""
    return f'{function} by ({by}) (label_replace({value}, "node", "$1", "Hostname", "(.+)") {_POOLED})'


def _rate(field: str) -> str:
    return f"rate({field}[{WINDOW}])"


def gpu() -> Dashboard:
    name, count = "{{pool}} {{Hostname}} {{gpu}}", _gpu("(DCGM_FI_DEV_GPU_UTIL * 0 + 1)", "pool", "sum")
    memory = "(DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE))"
    pending = f'sum (kube_pod_status_phase{{{_AT},phase="Pending"}})'
    asked = 'kube_pod_container_resource_requests{resource="nvidia_com_gpu",node!=""}'
    offered = 'kube_node_status_allocatable{resource="nvidia_com_gpu"}'
    return board(
        "gpu", "GPU pools", "The GPUs by node pool, and the pods that wait for one.", (POOL, GPU_PRICE),
        ("Now", (
            number("GPUs", "short", "GPUs that report.", Query(f"sum ({count})")),
            number("Busy", "percent", "Mean utilisation now.", Query(f"avg ({_gpu('DCGM_FI_DEV_GPU_UTIL')})")),
            number("Power", "watt", "Drawn by all GPUs.", Query(f"sum ({_gpu('DCGM_FI_DEV_POWER_USAGE')})")),
            number("Cost an hour", "short", "At the price above.", Query(f"$gpu_price * sum ({count})")),
            number("Pending pods", "short", "Pods of the namespace that have no node yet.", Query(pending), above(1)),
            number("Faulty GPUs", "short", "GPUs whose last XID error is not 0.",
                   Query(f"sum ({_gpu('(DCGM_FI_DEV_XID_ERRORS > bool 0)')})"), above(1)),
        )),
        ("Use", (
            graph("Utilisation", "percent", "Share of the time in which a kernel ran: 100 does not yet mean full.",
                  Query(_gpu("DCGM_FI_DEV_GPU_UTIL"), name)),
            graph("Memory", "percentunit", "Framebuffer in use; vLLM takes its share at start.",
                  Query(_gpu(memory), name)),
            graph("GPUs by pool", "short", "What reports, what the nodes offer and what pods have asked for.",
                  Query(count, "{{pool}} reporting"),
                  Query(f"sum by (pool) ({offered} {_POOLED})", "{{pool}} offered"),
                  Query(f"sum by (pool) ({asked} {_POOLED})", "{{pool}} asked for")),
        )),
        ("Health", (
            graph("Power", "watt", "Drawn by each GPU.", Query(_gpu("DCGM_FI_DEV_POWER_USAGE"), name)),
            graph("Temperature", "celsius", "Of each GPU.", Query(_gpu("DCGM_FI_DEV_GPU_TEMP"), name)),
            graph("Throttled", "percentunit", "Share of the time in which a GPU ran slower, for its power limit or for "
                  "heat. The exporter must be told to collect both fields (docs/observability.md).",
                  Query(_gpu(f"({_rate('DCGM_FI_DEV_POWER_VIOLATION')} / 1e6)"), f"power {name}"),
                  Query(_gpu(f"({_rate('DCGM_FI_DEV_THERMAL_VIOLATION')} / 1e6)"), f"heat {name}")),
            graph("Clock", "rotmhz", "Of the streaming multiprocessors.", Query(_gpu("DCGM_FI_DEV_SM_CLOCK"), name)),
            graph("Last XID error", "none", "0: none. The number says what failed (NVIDIA's XID catalogue).",
                  Query(_gpu("DCGM_FI_DEV_XID_ERRORS"), name)),
            graph("Remapped rows", "short", "Rows of memory replaced for errors that could not be corrected.",
                  Query(_gpu("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"), name)),
        )),
        ("Pods", (
            graph("Pending", "short", "Pods without a node, by namespace.",
                  Query(f'sum by (namespace) (kube_pod_status_phase{{{_AT},phase="Pending"}})', "{{namespace}}")),
            graph("Replicas", "short", "Ready, beside wanted.",
                  Query(f"sum by (deployment) (kube_deployment_status_replicas_ready{{{_AT}}})",
                        "{{deployment}} ready"),
                  Query(f"sum by (deployment) (kube_deployment_spec_replicas{{{_AT}}})", "{{deployment}} wanted")),
            graph("Cost an hour", "short", "At the price above, by pool.", Query(f"$gpu_price * {count}", "{{pool}}"),
                  stacked=True),
        )),
    )  # fmt: skip
