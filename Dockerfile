# The image: one static binary on nothing. No shell, no library, no package, no user but a number.
#
#   docker build --build-arg IDV_REVISION="$(git rev-parse HEAD)" -t idv-gateway .
#   docker run --read-only --cap-drop ALL -v ./gateway.toml:/etc/idv-gateway/gateway.toml:ro -p 8080:8080 idv-gateway
#
# In a container the file must say `listen = "0.0.0.0:8080"` and `admin_listen = "0.0.0.0:8081"`: loopback there is
# nobody's but the container's. `scripts/check-image` builds this file and runs what comes out.

# The tag names the compiler of rust-toolchain.toml (a test compares them). Pin its digest too where you build:
# a digest belongs to the registry that you pull from.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src

# The C library goes into the binary. It still reads /etc/resolv.conf and /etc/hosts by itself: since glibc 2.34 both
# ways to resolve a name are built in, and nothing is loaded at run time.
ENV RUSTFLAGS="-C target-feature=+crt-static"

# The dependencies, built for an empty program: this layer lasts as long as the two files do. `--target` keeps RUSTFLAGS
# away from build scripts and macros, which the compiler must be able to load.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && touch src/lib.rs \
    && echo 'fn main() {}' >src/main.rs \
    && cargo build --locked --release --target "$(rustc --print host-tuple)"

# The program. Its files may be older than the empty ones just built, and cargo compares times: hence `touch`.
COPY openapi.yaml ./
COPY src src
ARG IDV_REVISION=unknown
RUN touch src/lib.rs src/main.rs \
    && cargo build --locked --release --target "$(rustc --print host-tuple)" \
    && cp target/*/release/idv-gateway /idv-gateway

FROM scratch
ARG IDV_REVISION=unknown
LABEL org.opencontainers.image.title="idv-gateway" \
      org.opencontainers.image.description="One small, honest answer per signature id: a gateway in front of ADVANCE.AI's identity verification." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${IDV_REVISION}"

# No file of CA roots beside it: the binary carries Mozilla's, and a region's `ca_file` adds a company's own.
COPY LICENSE /LICENSE
COPY --from=build /idv-gateway /idv-gateway

# A number: Kubernetes cannot tell whether a name is root. Nothing in the image belongs to it, and it writes nothing.
USER 65532:65532
# Callers and operators, as the file says by default.
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# Kept by images in Docker's format; Kubernetes has probes of its own. It finds the admin listener as `serve` does.
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s --retries=3 \
    CMD ["/idv-gateway", "healthcheck", "--config", "/etc/idv-gateway/gateway.toml"]
ENTRYPOINT ["/idv-gateway"]
CMD ["serve", "--config", "/etc/idv-gateway/gateway.toml"]
