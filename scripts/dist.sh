#!/usr/bin/env bash
# Makes everything of a release in dist/, from what is committed: the image (an OCI
# layout for all architectures, and its digest), the programs, the chart, an SBOM
# and checksums. The same commit and version give the same image.
set -euo pipefail
cd "$(dirname "$0")/.."

default_image=ghcr.io/pac-lease-queue/pac-lease-queue
version=${1:-} image=${2:-$default_image}
if ! [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]]; then
  echo "dist: the version is \"$version\": give one without a leading v, as in make dist VERSION=1.2.3" >&2
  exit 1
fi
if [ -n "$(git status --porcelain)" ]; then
  echo "dist: there are changes that are not committed; a release is made of a commit" >&2
  exit 1
fi

tool() { go tool -modfile=scripts/tools/go.mod "$@"; }
helm=$(go run ./e2e/stack/cmd/build helm | awk '{print $2}')

rm -rf dist
mkdir dist
go run ./scripts/image/cmd/image -out dist -version "$version" -ref "$image:$version" | tee dist/image.txt
sed -n 's/.*@\(sha256:.*\)/\1/p' dist/image.txt >dist/image.digest
rm dist/image.txt dist/*.tar

# The chart installs the image of this release, whoever makes it.
chart=$(mktemp -d)/pac-lease-queue
trap 'rm -rf "${chart%/*}"' EXIT
cp -r charts/pac-lease-queue "$chart"
for file in values.yaml README.md; do
  sed "s|$default_image|$image|" "charts/pac-lease-queue/$file" >"$chart/$file"
  grep -qF "$image" "$chart/$file" || {
    echo "dist: charts/pac-lease-queue/$file does not name $default_image, which was to become $image" >&2
    exit 1
  }
done
"$helm" package "$chart" --version "$version" --app-version "$version" --destination dist
GOFLAGS=-mod=mod tool cyclonedx-gomod app -json -licenses -main addon/cmd/pac-lease-queue -output "dist/pac-lease-queue-$version.cdx.json" .
(cd dist && sha256sum -- *.tgz *.cdx.json pac-lease-queue-linux-* >SHA256SUMS)
ls dist
