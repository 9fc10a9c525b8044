#!/bin/sh
# Applies SOURCE, or else YAML, and waits until all workloads in NAMESPACES are rolled out and the
# API server would create PROBE.
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../scripts/cluster.sh"

if [ -n "$SOURCE" ]; then
  kubectl apply --server-side --force-conflicts -f "$SOURCE"
else
  kubectl apply --server-side --force-conflicts -f - <<END
$YAML
END
fi
for namespace in $NAMESPACES; do
  rolled_out "$namespace" "$DEADLINE"
done
if [ -n "$PROBE" ]; then
  printf '%s\n' "$PROBE" | accepted "$DEADLINE"
fi
