#!/bin/sh
# Installs or upgrades RELEASE from CHART with MORE_VALUES, overridden by VALUES, and waits until it
# works.
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../scripts/cluster.sh"

# A killed apply leaves a release that Helm takes for an operation in progress.
case $(helm status "$RELEASE" --namespace "$RELEASE" --output json 2>/dev/null | tr , '\n') in
*'"status":"pending-install"'*) helm uninstall "$RELEASE" --namespace "$RELEASE" --no-hooks --wait --timeout "${DEADLINE}s" ;;
*'"status":"pending-'*) helm rollback "$RELEASE" --namespace "$RELEASE" --wait --timeout "${DEADLINE}s" ;;
esac

helm upgrade "$RELEASE" "$CHART" --install --namespace "$RELEASE" --create-namespace \
  --wait --timeout "${DEADLINE}s" --values - --set-json "$VALUES" >/dev/null <<END || {
$MORE_VALUES
END
  explain "$RELEASE"
  fail "" "The add-on was refused, or not ready within $DEADLINE seconds. Helm's message and the pods' events are above."
}
# It takes a moment until a replica leads and the API server enforces hold and guard.
until=$(($(date +%s) + DEADLINE))
until said=$(helm test "$RELEASE" --namespace "$RELEASE" --timeout "${DEADLINE}s" --logs 2>&1); do
  if [ "$(date +%s)" -ge "$until" ]; then
    printf '%s\n' "$said"
    explain "$RELEASE"
    fail "" "The add-on does not work $DEADLINE seconds after its pods were ready. The output of helm test is above."
  fi
  sleep 1
done
