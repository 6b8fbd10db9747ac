#!/usr/bin/env bash
# Builds the real MinIO and its client `mc` into FOLDER, unless they are there already: build-minio.sh FOLDER
#
# The versions are those of the images in docker-compose.yml as far as the Go module proxy has them: MinIO is the very commit
# of that release (the proxy does not serve the tag), mc is the commit that MinIO's go.mod names.
set -euo pipefail

MINIO=github.com/minio/minio@v0.0.0-20250907161309-07c3a429bfed
MC=github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9

main() {
    (($# == 1)) || { echo "usage: $0 FOLDER" >&2 && exit 2; }
    mkdir -p "$1"
    local folder module
    folder=$(realpath "$1")
    for module in "$MINIO" "$MC"; do
        is_built "$folder" "$module" || build "$folder" "$module"
    done
}

# A binary knows which version it was built from, so that a new version above is built in spite of an old binary.
is_built() {
    local binary=$1/${2##*/}
    binary=${binary%@*}
    [[ -x $binary ]] && go version -m "$binary" | grep -qP "^\tmod\t${2%@*}\t${2#*@}(\t|$)"
}

# Without cgo, so that the result runs in an image that has no C library.
build() {
    echo "building ${2%@*}, which takes some minutes the first time"
    CGO_ENABLED=0 GOBIN=$1 go install "$2"
}

main "$@"
