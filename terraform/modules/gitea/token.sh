#!/bin/sh
# Makes an API token of Gitea's administrator, and keeps it in the Secret gitea-token.
set -eu

# Like its user, a token is gone with the pod: so each time there is a new one, under a new name.
token=$(kubectl -n "$NAMESPACE" exec deployment/gitea -c gitea -- /app/gitea/gitea --config /etc/gitea/app.ini \
  admin user generate-access-token --username "$GITEA_USER" --token-name "e2e-$(date +%s)" --scopes all --raw)
kubectl apply --server-side --force-conflicts -f - <<END
apiVersion: v1
kind: Secret
metadata: {name: gitea-token, namespace: $NAMESPACE}
stringData: {token: "$token"}
END
