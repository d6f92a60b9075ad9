FROM rust:1.95-bookworm AS build
RUN rustup target add wasm32-wasip2
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p rehearsal-server --bin rehearsal

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/rehearsal /rehearsal
EXPOSE 8000
ENTRYPOINT ["/rehearsal"]
