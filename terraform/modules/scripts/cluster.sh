# shellcheck shell=sh
# The common part of the modules' scripts. KUBECONFIG names the cluster. DISPOSABLE tells the
# scripts that remove things whether the same Terraform state created the cluster and deletes it.

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# gone succeeds if the cluster no longer exists. A cluster that refuses us, or is out of reach, is
# not gone; nor is an existing cluster whose API server is down for a moment, because what was
# installed there remains.
gone() {
  if [ ! -e "$KUBECONFIG" ]; then
    echo "$KUBECONFIG is gone, so the cluster is assumed to be gone too."
    return 0
  fi
  said=$(kubectl --request-timeout=10s get --raw /readyz 2>&1) && return 1
  case $DISPOSABLE:$said in
  true:*refused* | true:*"no such host"* | *"does not exist"* | *"no configuration has been provided"*)
    echo "No cluster answers at the address in $KUBECONFIG, so it is assumed to be gone."
    return 0
    ;;
  esac
  fail "The cluster of $KUBECONFIG cannot be cleaned up: $said" \
    "Make it answer and run destroy again. If it is gone for good, remove $KUBECONFIG and run destroy again."
}

# rolled_out NAMESPACE DEADLINE waits until every workload of the namespace is rolled out. After the
# deadline it says what is wrong and fails.
rolled_out() {
  until=$(($(date +%s) + $2))
  for workload in $(kubectl -n "$1" get deployments,statefulsets -o name); do
    left=$((until - $(date +%s)))
    kubectl -n "$1" rollout status "$workload" --timeout="$((left > 0 ? left : 1))s" || {
      explain "$1"
      fail "" "$workload in namespace $1 was not ready within $2 seconds; the pods and their events are above."
    }
  done
}

# explain NAMESPACE prints which pods are not ready, and why.
explain() {
  echo
  kubectl -n "$1" get pods || :
  for pod in $(kubectl -n "$1" get pods -o name --field-selector status.phase!=Succeeded); do
    case $(kubectl -n "$1" get "$pod" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') in
    True) continue ;;
    esac
    echo
    echo "$pod is not ready. Its events, and the end of its log:"
    kubectl -n "$1" events --for "$pod" 2>/dev/null | tail -n 8
    kubectl -n "$1" logs "$pod" --all-containers --tail 8 2>&1 | cut -c -400
  done
}

# accepted DEADLINE waits until the API server would create the object on standard input, in a dry
# run: proof that the webhooks on its way work.
accepted() {
  object=$(cat)
  until=$(($(date +%s) + $1))
  until said=$(printf '%s\n' "$object" | kubectl create --dry-run=server -f - 2>&1); do
    if [ "$(date +%s)" -ge "$until" ]; then
      fail "For $1 seconds the API server has refused an object that it should accept: $said"
    fi
    sleep 1
  done
}
