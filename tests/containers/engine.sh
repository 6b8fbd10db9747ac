# shellcheck shell=bash
# A Docker engine, and stand-ins for the images that the Dockerfile and docker-compose.yml name, for a machine that can pull
# none. Sourced; expects CACHE, a folder that is kept between runs, and the functions `say` and `fail`.
# shellcheck disable=SC2034 # `why_not` is for whoever sources this

containers=$(dirname "${BASH_SOURCE[0]}")
engine_pid=
engine_run=

# Uses the engine that runs, or else starts one of its own, with all it stores below CACHE. Returns 1 and sets `why_not` where
# there can be none.
engine_start() {
    # Debian keeps some of them in folders that not every PATH has.
    PATH=$PATH:/usr/sbin:/sbin
    installed docker debootstrap go || return 1
    docker info >/dev/null 2>&1 && return
    ((EUID == 0)) || { why_not="no Docker engine answers, and only root can start one" && return 1; }
    installed dockerd iptables || return 1
    engine_launch
}

installed() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { why_not="$tool is not installed" && return 1; }
    done
}

# Its socket and run-time files get a short path of their own: the path of a socket has 107 bytes at most.
engine_launch() {
    engine_run=$(mktemp -d)
    export DOCKER_HOST=unix://$engine_run/docker.sock
    mkdir -p "$CACHE/docker"
    dockerd --host "$DOCKER_HOST" --data-root "$CACHE/docker" --exec-root "$engine_run/exec" \
        --pidfile "$engine_run/docker.pid" >"$CACHE/dockerd.log" 2>&1 </dev/null &
    engine_pid=$!
    local second
    for ((second = 0; second < 60; second++)); do
        docker info >/dev/null 2>&1 && say "dockerd started, pid $engine_pid" && return
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 1
    done
    tail -n 20 "$CACHE/dockerd.log" >&2
    engine_stop
    why_not="dockerd does not start here"
    return 1
}

# Ends the engine if it is one that engine_start started.
engine_stop() {
    [[ -n $engine_pid ]] || return 0
    kill "$engine_pid" 2>/dev/null && wait "$engine_pid"
    engine_pid=
    rm -rf "$engine_run"
}

# Every change of the sources leaves its builder stage behind, two gigabytes of it. What the last build stands on is kept; an
# engine of somebody else's is theirs to tidy.
engine_tidy() {
    [[ -n $engine_pid ]] || return 0
    docker image prune --force --filter until=24h >/dev/null
}

# Builds what is missing and points the variables of docker-compose.yml to it. Each name ends in what the image was made from.
stand_ins() {
    "$containers/build-minio.sh" "$CACHE/bin"
    local rust minio
    rust=$(rustc --version | cut -d' ' -f2)
    minio=$(cksum "$CACHE/bin/minio" "$CACHE/bin/mc" | cksum | cut -d' ' -f1)
    export RUST_IMAGE=tidegate-ci/rust:$rust BASE_IMAGE=tidegate-ci/cc:bookworm
    export MINIO_IMAGE=tidegate-ci/minio:$minio MC_IMAGE=tidegate-ci/mc:$minio
    absent tidegate-ci/debian:bookworm && debian
    absent "$RUST_IMAGE" && rust_on_debian
    absent "$BASE_IMAGE" && cc_from_debian
    absent "$MINIO_IMAGE" && minio_on_debian minio "$MINIO_IMAGE"
    absent "$MC_IMAGE" && minio_on_debian mc "$MC_IMAGE"
    return 0
}

absent() {
    ! docker image inspect "$1" >/dev/null 2>&1
}

# What buildpack-deps:bookworm gives a Rust build, as little of it as our dependencies need.
debian() {
    say "stand-in: Debian by debootstrap"
    local root
    root=$(mktemp -d)
    debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev,make bookworm "$root" "$(debian_mirror)" \
        >"$CACHE/debootstrap.log" || { tail -n 20 "$CACHE/debootstrap.log" >&2 && fail "debootstrap"; }
    tar -C "$root" -c . | docker import - tidegate-ci/debian:bookworm >/dev/null
    rm -rf "$root"
}

# The mirror that apt uses on this machine.
debian_mirror() {
    # shellcheck disable=SC2016 # apt fills these in
    apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' |
        awk '$2 !~ /-security$/ { print $1; exit }'
}

# The toolchain of this machine, and the certificate authorities that it trusts, on its way to crates.io too.
rust_on_debian() {
    say "stand-in: Rust"
    image_from_tar "$RUST_IMAGE" -C "$(rustc --print sysroot)" bin lib -C /etc/ssl/certs ca-certificates.crt <<'DOCKERFILE'
FROM tidegate-ci/debian:bookworm
COPY ca-certificates.crt /etc/ssl/certs/
COPY bin /usr/local/bin
COPY lib /usr/local/lib
DOCKERFILE
}

# As in distroless's cc image: glibc, libgcc_s, and no shell.
cc_from_debian() {
    say "stand-in: a base without a shell"
    image_from_tar "$BASE_IMAGE" <<'DOCKERFILE'
FROM tidegate-ci/debian:bookworm AS debian
RUN mkdir /cc && cp -L --parents /lib*/ld-linux*.so.* /lib/*-linux-gnu/libc.so.6 /lib/*-linux-gnu/libm.so.6 \
    /lib/*-linux-gnu/libgcc_s.so.1 /cc
FROM scratch
COPY --from=debian /cc /
DOCKERFILE
}

# Like the official images, both have a shell, and MinIO's has mc as well.
minio_on_debian() {
    say "stand-in: $1"
    image_from_tar "$2" -C "$CACHE/bin" minio mc <<DOCKERFILE
FROM tidegate-ci/debian:bookworm
COPY minio mc /usr/bin/
ENTRYPOINT ["$1"]
DOCKERFILE
}

# image_from_tar NAME [tar's arguments for what the image copies] <Dockerfile
image_from_tar() {
    local name=$1 folder
    shift
    folder=$(mktemp -d)
    cat >"$folder/Dockerfile"
    tar -c -C "$folder" Dockerfile "$@" | docker build --quiet --tag "$name" - >/dev/null
    rm -rf "$folder"
}
