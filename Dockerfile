# syntax=docker/dockerfile:1

# Where the base images cannot be reached, name mirrors: --build-arg BUILD_IMAGE=… --build-arg BASE_IMAGE=…
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
# The caches keep a second build short; the program is copied out of them, since they are not part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin jiesu \
    && cp target/release/jiesu /usr/local/bin/jiesu

FROM ${BASE_IMAGE}
# The program brings its own TLS roots and time zones: no packages are installed.
COPY --from=build /usr/local/bin/jiesu /usr/local/bin/jiesu
COPY --from=build /src/LICENSE /src/src/calendar/NOTICE /usr/share/doc/jiesu/
# A number, so that Kubernetes' runAsNonRoot can check it; the volume takes its owner from this directory.
RUN mkdir -p /var/lib/jiesu /etc/jiesu && chown 10001:10001 /var/lib/jiesu && chmod 0750 /var/lib/jiesu
USER 10001:10001
WORKDIR /var/lib/jiesu
VOLUME /var/lib/jiesu
EXPOSE 8080
# On SIGTERM the gateway finishes the pages it has begun: give it time (docker stop --time 30).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/usr/local/bin/jiesu", "health", "--config", "/etc/jiesu/jiesu.toml"]
ENTRYPOINT ["/usr/local/bin/jiesu"]
CMD ["serve", "--config", "/etc/jiesu/jiesu.toml"]
