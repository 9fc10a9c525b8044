#!/usr/bin/env bash
# Checks the Terraform configuration and its modules, and runs their tests, which need no cluster.
#
#   terraform/check.sh             with E2E_TERRAFORM, or else terraform or tofu in PATH, or else
#                                  OpenTofu, which is built once
#   terraform/check.sh --if-there  only if none of them has to be built
set -euo pipefail
cd "$(dirname "$0")"

cache=${PAC_LEASE_QUEUE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pac-lease-queue}
there() {
  local candidate
  for candidate in ${E2E_TERRAFORM:-terraform tofu "$cache"/bin/tofu-v*}; do
    case $candidate in *.lock | *.partial) continue ;; esac
    if command -v "$candidate"; then return; fi
  done
  return 1
}
if ! program=$(there); then
  if [ "${1:-}" = --if-there ]; then
    echo "terraform/check.sh: skipped, no Terraform is there; make lint-terraform builds OpenTofu" >&2
    exit 0
  fi
  program=$(cd .. && go run ./e2e/stack/cmd/build tofu | awk '{print $2}')
fi
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
export TF_CLI_CONFIG_FILE=/dev/null CHECKPOINT_DISABLE=1

"$program" fmt -check -recursive -diff
for folder in e2e modules/*/; do
  if [ ! -e "$folder/main.tf" ]; then
    continue
  fi
  export TF_DATA_DIR=$data/$folder
  run() {
    "$program" -chdir="$folder" "$@" -no-color >"$data/output" 2>&1 || {
      echo "terraform/$folder: $1" >&2
      cat "$data/output" >&2
      exit 1
    }
  }
  run init -input=false
  run validate
  run test
done
