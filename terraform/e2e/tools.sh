#!/bin/sh
# Checks that TOOLS are in PATH.
set -eu

missing=
for tool in $TOOLS; do
  command -v "$tool" >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
  echo "Not found in PATH:$missing. Install them, or run \"make e2e-kind-up\", which builds them." >&2
  exit 1
fi
