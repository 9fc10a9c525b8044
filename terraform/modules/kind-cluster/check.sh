#!/bin/sh
# Checks that kind can create a cluster NAME here.
set -eu

if ! clusters=$(kind get clusters 2>&1); then
  echo "kind finds no container engine: $clusters" >&2
  echo "Start Docker (or podman or nerdctl, and set KIND_EXPERIMENTAL_PROVIDER), and make sure that this user may use it." >&2
  exit 1
fi
if printf '%s\n' "$clusters" | grep -qxF -- "$NAME"; then
  echo "A kind cluster \"$NAME\" exists already, and this Terraform state did not create it." >&2
  echo "Choose another cluster name, or delete that one: kind delete cluster --name $NAME" >&2
  exit 1
fi
