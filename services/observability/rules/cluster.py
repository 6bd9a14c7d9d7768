"""What only a cluster has: nodes, pods and GPUs, from kube-state-metrics, DCGM and cert-manager."""

from services.observability.rules.rule import SCOPE, Alert, Group, Recording

POOL_LABELS = (
    "label_karpenter_sh_nodepool",
    "label_cloud_google_com_gke_nodepool",
    "label_eks_amazonaws_com_nodegroup",
    "label_kubernetes_azure_com_agentpool",
    "label_node_kubernetes_io_instance_type",
)
"""What says to which pool a node belongs, the first that there is; kube-state-metrics must be allowed to show it
(`--metric-labels-allowlist=nodes=[…]`)."""
_OURS = f"on ({SCOPE}) group by ({SCOPE}) (naru_model_info)"
"""The namespaces in which a gateway runs."""


def _pool(label: str) -> str:
    return f'label_replace(kube_node_labels{{{label}!=""}}, "pool", "$1", "{label}", "(.+)")'


_POOLS = "\n  or on (node) ".join((*map(_pool, POOL_LABELS), 'label_replace(kube_node_info, "pool", "none", "", "")'))
RECORDED = Group("naru-cluster", (Recording("naru:node_pool:info", f"group by (node, pool) ({_POOLS})"),))

ALERTS = Group(
    "naru-cluster-alerts",
    (
        Alert(
            "NaruGpuErrors",
            "DCGM_FI_DEV_XID_ERRORS > 0 and changes(DCGM_FI_DEV_XID_ERRORS[15m]) > 0", "0m", "warning",
            "GPU {{ $labels.gpu }} of {{ $labels.Hostname }} reports XID error {{ $value }}", "gpu", {"error": "xid"},
        ),
        Alert(
            "NaruGpuErrors", "DCGM_FI_DEV_ROW_REMAP_FAILURE > 0", "0m", "critical",
            "GPU {{ $labels.gpu }} of {{ $labels.Hostname }} cannot replace faulty memory any more", "gpu",
            {"error": "memory"},
        ),
        Alert(
            "NaruModelLoadingTooLong",
            'kube_pod_status_ready{condition="false"} == 1\n'
            f'  and on ({SCOPE}, pod) kube_pod_status_phase{{phase="Running"}} == 1\n  and {_OURS}', "15m", "warning",
            "Pod {{ $labels.pod }} has been running for 15 minutes and is not ready", "gpu", {"what": "pod"},
        ),
        Alert(
            "NaruPodsPending",
            f'sum by ({SCOPE}) (kube_pod_status_phase{{phase="Pending"}}) > 0\n  and {_OURS}', "15m", "warning",
            "{{ $value }} pods of {{ $labels.namespace }} have had no node for 15 minutes", "gpu",
        ),
        Alert(
            "NaruGatewayMemory",
            f"(process_resident_memory_bytes and on ({SCOPE}, instance) naru_event_loop_lag_seconds_count)\n"
            f"  / on ({SCOPE}, pod) group_left () sum by ({SCOPE}, pod) "
            '(kube_pod_container_resource_limits{resource="memory"}) > 0.9', "5m", "warning",
            "Gateway {{ $labels.pod }} uses {{ $value | humanizePercentage }} of the memory it may", "gateway",
        ),
        Alert(
            "NaruCertificateExpiring",
            '(certmanager_certificate_expiration_timestamp_seconds{name=~".*naru.*"} - time()) / 86400 < 14', "5m",
            "warning", "The certificate {{ $labels.name }} ends in {{ $value | humanize }} days", "gateway",
        ),
    ),
)  # fmt: skip
