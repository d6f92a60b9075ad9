# docker build -t ghcr.io/llm-d/llm-d-inference-sim:dev .
# Other bases are build arguments: the first has Rust and a C compiler, the second glibc and libgcc.
ARG BUILD_BASE=rust:1.95-bookworm
ARG RUN_BASE=gcr.io/distroless/cc-debian12:nonroot

# What decides over dependencies, and nothing else: manifests, and the roots of crates without what is in them.
FROM ${BUILD_BASE} AS skeleton
WORKDIR /src
COPY . .
RUN mkdir /skeleton \
    && find . \( -name Cargo.toml -o -name Cargo.lock \) -not -path './plugins/example/*' -exec cp --parents {} /skeleton \; \
    && find . \( -name lib.rs -o -name main.rs -o -name build.rs \) -not -path './plugins/example/*' \
       -exec sh -c 'mkdir -p "/skeleton/$(dirname "$1")" && echo "fn main() { }" > "/skeleton/$1"' sh {} \;

FROM ${BUILD_BASE} AS build
WORKDIR /src
# This layer stays for as long as the manifests do.
COPY --from=skeleton /skeleton .
RUN cargo build --release --locked -p rehearsal-server --bin rehearsal
COPY . .
# Cargo goes by time, and the stand-ins are younger than what they stood for.
RUN find host plugins tests wit -type f -exec touch {} + \
    && cargo build --release --locked -p rehearsal-server --bin rehearsal
# The built-in plugins, compiled, where the server looks for them.
RUN mkdir -p /image/app /image/usr/local/bin /image/var/cache/rehearsal \
    && cp target/release/rehearsal /image/app/rehearsal \
    && strip /image/app/rehearsal \
    && ln -s rehearsal /image/app/llm-d-inference-sim \
    && ln -s /app/rehearsal /image/usr/local/bin/rehearsal \
    && ln -s /app/rehearsal /image/usr/local/bin/vllm \
    && XDG_CACHE_HOME=/image/var/cache/rehearsal /image/app/rehearsal plugin list \
    && chown -R 65532:65532 /image/var/cache/rehearsal

FROM ${RUN_BASE}
COPY --from=build /image /
ENV XDG_CACHE_HOME=/var/cache/rehearsal
EXPOSE 8000
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=6s CMD ["/app/rehearsal", "health"]
ENTRYPOINT ["/app/rehearsal"]
