# The image: one static binary and nothing else. No shell, no libraries, no packages, and a user that is only a number.
#
#   docker build --build-arg IDV_VERSION=0.1.0 --build-arg IDV_REVISION="$(git rev-parse HEAD)" --tag idv-gateway .
#   docker run --read-only --cap-drop ALL -v ./gateway.toml:/etc/idv-gateway/gateway.toml:ro -p 8080:8080 idv-gateway
#
# In a container the file must say `listen = "0.0.0.0:8080"` and `admin_listen = "0.0.0.0:8081"`: nothing outside reaches
# the container's loopback. `scripts/check-image` builds this file and runs the result.

# The compiler of rust-toolchain.toml (a test compares them). A release pins it by digest, which belongs to the registry that
# it is pulled from: --build-arg RUST_IMAGE=rust:1.95.0-slim-bookworm@sha256:…
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
FROM ${RUST_IMAGE} AS build
WORKDIR /src

# The C library goes into the binary. It still reads /etc/resolv.conf and /etc/hosts: since glibc 2.34 both ways to
# resolve a name are built in, and nothing is loaded at run time.
ENV RUSTFLAGS="-C target-feature=+crt-static"

# The dependencies, built for an empty program: this layer is reused until one of the two files changes. `--target` keeps
# RUSTFLAGS away from build scripts and macros, which the compiler must be able to load.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && touch src/lib.rs \
    && echo 'fn main() {}' >src/main.rs \
    && cargo build --locked --release --target "$(rustc --print host-tuple)"

# The program. Its files may be older than the empty ones just built, and cargo compares times: hence `touch`.
COPY openapi.yaml openapi-admin.yaml ./
COPY src src
ARG IDV_REVISION=unknown
RUN touch src/lib.rs src/main.rs \
    && cargo build --locked --release --target "$(rustc --print host-tuple)" \
    && cp target/*/release/idv-gateway /idv-gateway

FROM scratch
ARG IDV_VERSION=unknown
ARG IDV_REVISION=unknown
LABEL org.opencontainers.image.title="idv-gateway" \
      org.opencontainers.image.description="One small, honest answer per signature id: a gateway in front of ADVANCE.AI's identity verification." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${IDV_VERSION}" \
      org.opencontainers.image.revision="${IDV_REVISION}"

# No file of CA roots: the binary contains Mozilla's, and a region's `ca_file` adds a company's own.
COPY LICENSE /LICENSE
COPY --from=build /idv-gateway /idv-gateway

# A number: Kubernetes cannot tell whether a name is root. The user owns nothing in the image and writes nothing.
USER 65532:65532
# For callers and for operators, as in the default configuration.
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# Only images in Docker's format keep it; Kubernetes has its own probes. It finds the admin listener as `serve` does.
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s --retries=3 \
    CMD ["/idv-gateway", "healthcheck", "--config", "/etc/idv-gateway/gateway.toml"]
ENTRYPOINT ["/idv-gateway"]
CMD ["serve", "--config", "/etc/idv-gateway/gateway.toml"]
