// Reads manifests as a JSON list, writes what their kinds' official schemas say against each: a list of lists.
import { readFileSync } from "node:fs";

const PACKAGES = {
  "gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api",
  "karpenter.sh/v1": "@kubernetes-models/karpenter",
  "keda.sh/v1alpha1": "@kubernetes-models/keda",
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator",
};

async function faults(manifest) {
  const { apiVersion, kind } = manifest;
  const found = await import(`${PACKAGES[apiVersion]}/${apiVersion}/${kind}`);
  try {
    new found[kind](manifest).validate();
    return [];
  } catch (error) {
    return [`${kind}/${manifest.metadata.name}: ${error.message}`];
  }
}

const manifests = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(await Promise.all(manifests.map(faults))));
