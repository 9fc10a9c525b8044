#!/usr/bin/env bash
# Checks the Terraform configuration and its modules, and runs their tests, which need no cluster.
#
#   terraform/check.sh TERRAFORM   with this program: terraform or tofu
set -euo pipefail

program=$1
cd "$(dirname "$0")"
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
