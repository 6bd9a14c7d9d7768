"""The *restricted* Pod Security Standard, as kubernetes.io/docs/concepts/security/pod-security-standards lists it."""

from typing import Any

_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)


def violations(pod: dict[str, Any]) -> list[str]:
    """What the API server would refuse this pod for, in a namespace that enforces *restricted*."""
    spec = pod["spec"]
    own = spec.get("securityContext", {})
    found = [f"{field} is set" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    found += [
        f"volume {each['name']}: {kind}" for each in spec.get("volumes", []) for kind in set(each) - {"name"} - _VOLUMES
    ]
    found += ["sysctls"] if own.get("sysctls") else []
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        found += [f"{container['name']}: {fault}" for fault in _container(container, own)]
    return found


def _container(container: dict[str, Any], pod: dict[str, Any]) -> list[str]:
    context = container.get("securityContext", {})
    merged = {**pod, **context}
    capabilities = context.get("capabilities", {})
    checks = {
        "privileged": not context.get("privileged"),
        "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
        "runAsNonRoot": merged.get("runAsNonRoot") is True,
        "runAsUser 0": merged.get("runAsUser") != 0,
        "seccompProfile": merged.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
        "capabilities.drop": "ALL" in capabilities.get("drop", []),
        "capabilities.add": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        "procMount": context.get("procMount", "Default") == "Default",
        "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
    }
    return [name for name, kept in checks.items() if not kept]
