#!/usr/bin/env bash
# Runs every fuzz target for a while, one after the other: scripts/fuzz.sh 30s
# What it finds is kept in the testdata/fuzz folder beside the target, and is run by
# every go test from then on.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:?say for how long, e.g. 30s}
grep -rl --include='*_test.go' '^func Fuzz' addon e2e | xargs -n1 dirname | sort -u | while read -r package; do
  grep -hoE '^func Fuzz\w+' "$package"/*_test.go | cut -d' ' -f2 | while read -r target; do
    echo "fuzz $package $target for $time"
    go test -short -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$package" </dev/null
  done
done
