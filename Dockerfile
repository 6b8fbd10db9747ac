# Builds with the classic builder and with BuildKit alike, hence no cache mounts. A proxy on the way to crates.io is given
# with the standard `--build-arg HTTPS_PROXY=…`; one that needs its own certificate authority, by a RUST_IMAGE that trusts it.
ARG RUST_IMAGE=rust:1.95-bookworm
# Any base with glibc 2.36 or newer and libgcc_s will do, a shell or not: debian:bookworm-slim gives one to look around with.
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS builder
WORKDIR /build

# The dependencies, against an empty program: this layer stays as long as the two manifests do. The benchmarks, which the
# manifest names, stay empty.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/peers benches/validators \
    && touch src/lib.rs benches/group_commit.rs benches/peers/main.rs benches/sinks.rs benches/validators/main.rs benches/wire.rs \
    && echo 'fn main() {}' >src/main.rs \
    && cargo build --release --locked \
    && rm -r src

# `clean` first: Cargo goes by the time of a file, and a checkout may well be older than the empty program just built.
COPY config config
COPY src src
RUN cargo clean --release --locked --package tidegate \
    && cargo build --release --locked --bin tidegate \
    && mkdir /data

# Nothing runs in the last stage, so its base needs no shell.
FROM ${BASE_IMAGE}
# The roots that S3 over TLS is checked against, where the base has none.
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=builder --chown=65532:65532 /data /var/lib/tidegate
COPY --from=builder /build/target/release/tidegate /usr/local/bin/tidegate

# The C library gives large blocks (windows of zstd) back to the system at once: mallopt(3).
ENV MALLOC_MMAP_THRESHOLD_=1048576

# In a container loopback reaches nobody; what may reach these ports is for whoever publishes them to say.
ENV TIDEGATE__LISTEN__TCP=0.0.0.0:5010 \
    TIDEGATE__LISTEN__ADMIN=0.0.0.0:5011 \
    TIDEGATE__SINK__FS__ROOT=/var/lib/tidegate
EXPOSE 5010 5011

# By number, so that an orchestrator can tell that it is not root.
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["tidegate", "health"]
ENTRYPOINT ["tidegate"]
CMD ["serve"]
