#!/usr/bin/env bash
# The proof that the containers do what they are for: docker-compose.yml on a real engine, real files through it, one piece
# after the other taken away and given back. One line for each thing that was checked; stops at the first that does not hold.
#
#   TIDEGATE_BIN          the program that pushes            [target/release/tidegate, else target/debug/tidegate]
#   TIDEGATE_CORPORA      the folder with real/              [../shared/corpora beside the repository]
#   TIDEGATE_CACHE        kept between runs: stand-ins       [$XDG_CACHE_HOME/tidegate-ci, else ~/.cache/tidegate-ci]
#   TIDEGATE_IMAGES=real  use the images that the files name instead of stand-ins (they must be there, or pull)
#   TIDEGATE_REQUIRE_ALL=1  fail where there can be no engine, instead of saying that this was left out
set -euo pipefail

HERE=$(realpath "$(dirname "$0")")
REPOSITORY=$(dirname "$HERE")
CACHE=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate-ci}
CORPORA=${TIDEGATE_CORPORA:-$REPOSITORY/../shared/corpora}
BUCKET=tidegate

say() { printf '%5ds  %s\n' "$SECONDS" "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2 && exit 1; }

# shellcheck source=tests/containers/engine.sh
source "$HERE/containers/engine.sh"

main() {
    mkdir -p "$CACHE"
    trap clean_up EXIT
    { installed curl nc python3 && engine_start; } || leave_out "$why_not"
    prepare
    comes_up_healthy
    is_confined
    stores_what_is_pushed
    survives_the_loss_of_its_store
    survives_a_restart
    survives_down_and_up
    ends_cleanly
    say "all of it holds"
}

leave_out() {
    [[ ${TIDEGATE_REQUIRE_ALL:-} == 1 ]] && fail "$1"
    echo "left out: the containers ($1)"
    exit 0
}

# A project, ports and images of its own, so that neither a stack of somebody's nor its data is touched.
prepare() {
    TIDEGATE=$(program)
    work=$(mktemp -d)
    read -r TIDEGATE_PORT TIDEGATE_ADMIN_PORT MINIO_PORT MINIO_CONSOLE_PORT < <(free_ports)
    export TIDEGATE_PORT TIDEGATE_ADMIN_PORT MINIO_PORT MINIO_CONSOLE_PORT
    export COMPOSE_PROJECT_NAME=tidegate-proof TIDEGATE_IMAGE=tidegate-ci/tidegate TIDEGATE_BUCKET=$BUCKET
    export MINIO_ROOT_USER=proof MINIO_ROOT_PASSWORD=proof-of-the-containers
    [[ ${TIDEGATE_IMAGES:-} == real ]] || stand_ins
    some_files
    say "building the image"
    compose build >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2 && fail "the image does not build"; }
    engine_tidy
    compose down --volumes >/dev/null 2>&1
}

program() {
    local found
    for found in ${TIDEGATE_BIN:-"$REPOSITORY/target/release/tidegate" "$REPOSITORY/target/debug/tidegate"}; do
        [[ -x $found ]] && realpath "$found" && return
    done
    fail "no built tidegate to push with: cargo build, or set TIDEGATE_BIN"
}

# All four are held at once, so that they differ.
free_ports() {
    python3 -c 'import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(s.getsockname()[1] for s in held))'
}

# Real ones, and one that is larger than two parts of a multipart upload.
some_files() {
    mkdir "$work/files"
    cp "$CORPORA"/real/*.csv "$CORPORA"/real/*.json "$work/files/"
    awk 'BEGIN { print "id,square,note"; for (i = 0; i < 600000; i++) printf "%d,%d,\"a note, number %d\"\n", i, i * i, i }' \
        >"$work/files/large.csv"
    (($(stat -c %s "$work/files/large.csv") > 20000000)) || fail "large.csv is smaller than it was meant to be"
}

comes_up_healthy() {
    compose up -d >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2 && fail "compose up"; }
    eventually 90 "the server is healthy" is_healthy tidegate
    [[ $(inspect bucket '{{.State.ExitCode}}') == 0 ]] || fail "the bucket was not made"
    eventually 10 "/readyz answers 200" readyz_is 200
}

is_confined() {
    local service addresses pid
    for service in minio tidegate; do
        addresses=$(inspect "$service" '{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{end}}{{end}}')
        [[ $addresses == "127.0.0.1 127.0.0.1 " ]] || fail "$service is published on $addresses"
    done
    pid=$(inspect tidegate '{{.State.Pid}}')
    [[ $(status_of "$pid" Uid) == 65532 ]] || fail "the server runs as user $(status_of "$pid" Uid)"
    [[ $(status_of "$pid" CapEff)$(status_of "$pid" CapBnd) =~ ^0+$ ]] || fail "the server has capabilities"
    [[ $(status_of "$pid" NoNewPrivs) == 1 ]] || fail "the server may gain privileges"
    [[ $(inspect tidegate '{{.HostConfig.ReadonlyRootfs}}') == true ]] || fail "the server may write to its root"
    say "loopback only; user 65532, no capabilities, no new privileges, read-only root"
}

status_of() {
    awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/status"
}

stores_what_is_pushed() {
    local file answer
    for file in "$work"/files/*; do
        push "$file" "pushed/$(basename "$file")"
    done
    say "pushed, and read back byte for byte with id and digest: $(cd "$work/files" && echo *)"
    file=$work/files/seattle-weather.csv
    answer=$(by_nc "$file" nc/seattle-weather.csv)
    [[ $answer == "OK nc/seattle-weather.csv $(stat -c %s "$file") sha256:$(sha256 "$file")"* ]] || fail "nc was told: $answer"
    same "$file" nc/seattle-weather.csv
    say "sent with nc, and read back byte for byte"
}

survives_the_loss_of_its_store() {
    compose stop minio >/dev/null 2>&1
    eventually 60 "without its store, /readyz answers 503" readyz_is 503
    local status=0
    timeout 240 "$TIDEGATE" push "$work/files/stocks.csv" --to "127.0.0.1:$TIDEGATE_PORT" --name lost.csv --retries 0 --json \
        >"$work/push.log" 2>&1 || status=$?
    ((status == 1)) || { cat "$work/push.log" >&2 && fail "a push without a store ends with $status, not 1"; }
    say "a push fails as something that may pass (exit code 1)"
    compose start minio >/dev/null 2>&1
    eventually 90 "with its store back, /readyz answers 200" readyz_is 200
    eventually 30 "MinIO is healthy again" is_healthy minio
    push "$work/files/stocks.csv" after/loss.csv
    say "and a push works"
}

survives_a_restart() {
    compose restart >/dev/null 2>&1
    eventually 90 "after a restart, the server is healthy" is_healthy tidegate
    eventually 60 "and ready" readyz_is 200
    all_is_there
    push "$work/files/stocks.csv" after/restart.csv
    say "and a push works"
}

survives_down_and_up() {
    compose down >/dev/null 2>&1
    compose up -d >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2 && fail "compose up after down"; }
    eventually 90 "after down and up, the server is healthy" is_healthy tidegate
    eventually 60 "and ready" readyz_is 200
    all_is_there
    push "$work/files/stocks.csv" after/down.csv
    say "and a push works"
}

all_is_there() {
    local file
    for file in "$work"/files/*; do
        same "$file" "pushed/$(basename "$file")"
    done
    say "all files are still there, byte for byte"
}

ends_cleanly() {
    compose stop tidegate >/dev/null 2>&1
    local code
    code=$(inspect tidegate '{{.State.ExitCode}}')
    [[ $code == 0 ]] || fail "told to stop, the server ends with $code"
    say "told to stop, the server ends with 0"
}

# push FILE NAME: pushes it, and finds the same bytes under that name in MinIO, with the receipt's id and digest.
push() {
    local id about
    timeout 240 "$TIDEGATE" push "$1" --to "127.0.0.1:$TIDEGATE_PORT" --name "$2" --json >"$work/push.log" 2>&1 ||
        { cat "$work/push.log" >&2 && fail "pushing $2"; }
    same "$1" "$2"
    id=$(sed -n 's/.*"id":"\([^"]*\)".*/\1/p' "$work/push.log")
    [[ -n $id ]] || { cat "$work/push.log" >&2 && fail "the receipt of $2 has no id"; }
    grep -q "$(sha256 "$1")" "$work/push.log" || fail "the receipt of $2 has another digest"
    about=$(mc stat --json "proof/$BUCKET/$2")
    [[ $about == *"$id"* ]] || fail "the metadata of $2 lacks its upload id, $id: $about"
    # Where the digest was not known before the last byte, it stands in a record beside.
    [[ $about == *"$(sha256 "$1")"* || $(records_of "$id") == *"$(sha256 "$1")"* ]] ||
        fail "neither the metadata of $2 nor a record of upload $id has its digest: $about"
}

records_of() {
    mc find "proof/$BUCKET/.tidegate/receipts/" --name "$1*" --exec "mc cat {}"
}

# The header with name and size, then the bytes; the server closes when it has answered.
by_nc() {
    { printf '%s %d\n' "$2" "$(stat -c %s "$1")" && cat "$1"; } | timeout 60 nc -N 127.0.0.1 "$TIDEGATE_PORT"
}

same() {
    mc cat "proof/$BUCKET/$2" | cmp - "$1" || fail "$2 is not what was sent"
}

# MinIO's own client, in MinIO's container: it shares nothing with tidegate.
mc() {
    # shellcheck disable=SC2016 # for the shell in there
    docker exec "$(container minio)" sh -c \
        'MC_HOST_proof="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@localhost:9000" exec mc "$@"' mc "$@"
}

sha256() {
    sha256sum "$1" | cut -d' ' -f1
}

is_healthy() {
    [[ $(inspect "$1" '{{.State.Health.Status}}') == healthy ]]
}

readyz_is() {
    [[ $(curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' \
        "http://127.0.0.1:$TIDEGATE_ADMIN_PORT/readyz") == "$1" ]]
}

# eventually SECONDS WHAT COMMAND…
eventually() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || fail "not in time: $what"
        sleep 1
    done
    say "$what"
}

inspect() {
    docker inspect --format "$2" "$(container "$1")"
}

container() {
    docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter "label=com.docker.compose.service=$1"
}

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose --file "$REPOSITORY/docker-compose.yml" "$@"
    else
        docker-compose --file "$REPOSITORY/docker-compose.yml" "$@"
    fi
}

clean_up() {
    local status=$?
    if [[ -n ${work:-} ]]; then
        ((status == 0)) || compose ps --all >&2 || true
        ((status == 0)) || compose logs --no-color --tail=40 >&2 || true
        compose down --volumes --timeout 10 >/dev/null 2>&1 || true
        rm -rf "$work"
    fi
    engine_stop || true
    exit "$status"
}

main "$@"
