#!/bin/sh
# Creates an API token of Gitea's administrator, and stores it in the Secret gitea-token.
set -eu

# A token is lost with the pod, like its user, so each call creates a new one under a new name.
token=$(kubectl -n "$NAMESPACE" exec deployment/gitea -c gitea -- /app/gitea/gitea --config /etc/gitea/app.ini \
  admin user generate-access-token --username "$GITEA_USER" --token-name "e2e-$(date +%s)" --scopes all --raw)
kubectl apply --server-side --force-conflicts -f - <<END
apiVersion: v1
kind: Secret
metadata: {name: gitea-token, namespace: $NAMESPACE}
stringData: {token: "$token"}
END
