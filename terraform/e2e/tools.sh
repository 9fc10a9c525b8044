#!/bin/sh
# Checks that TOOLS are there.
set -eu

missing=
for tool in $TOOLS; do
  command -v "$tool" >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
  echo "Not found in PATH:$missing. Install what is missing, or have \"make e2e-kind-up\" build it." >&2
  exit 1
fi
