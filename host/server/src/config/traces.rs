//! Whether requests are traced, and where their spans go.

use axum::http::Uri;
use serde_json::Value;

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Logs:
    OTLP_TRACES_ENDPOINT: String = Spec::one("otlp-traces-endpoint", "URL")
        .help("send a span of each request that ends to this OpenTelemetry collector, as vLLM does; a request's traceparent \
               is continued"), values::name;
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: OtlpProtocol = Spec::environment("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").default("grpc")
        .help("how spans are sent: grpc, which has no TLS here, or http/protobuf"), protocol;
}

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesConfig {
    /// A whole URL; of HTTP with its path.
    pub endpoint: String,
    /// How.
    pub protocol: OtlpProtocol,
}

/// How spans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC without TLS.
    Grpc,
    /// Protobuf in the bodies of HTTP requests.
    HttpProtobuf,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<TracesConfig> {
    let protocol = reader.read(&OTEL_EXPORTER_OTLP_TRACES_PROTOCOL);
    let given = reader.given(&OTLP_TRACES_ENDPOINT)?;
    match endpoint(&given, protocol) {
        Ok(endpoint) => Some(TracesConfig { endpoint, protocol }),
        Err(problem) => {
            reader.refuse(&OTLP_TRACES_ENDPOINT, problem);
            None
        }
    }
}

/// For gRPC, a host and a port alone will do, as in vLLM.
fn endpoint(given: &str, protocol: OtlpProtocol) -> Result<String, String> {
    let is_grpc = protocol == OtlpProtocol::Grpc;
    let whole = if is_grpc && !given.contains("://") { format!("http://{given}") } else { given.to_owned() };
    let uri = whole.parse::<Uri>().map_err(|error| format!("{given:?} is not a URL: {error}"))?;
    match uri.scheme_str() {
        Some("http") if uri.host().is_some() => Ok(whole),
        Some("https") if uri.host().is_some() && !is_grpc => Ok(whole),
        Some("https") => Err(format!(
            "{given:?}: gRPC has no TLS here; write http://, or set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"
        )),
        _ => Err(format!("{given:?} is not a URL that begins with http:// or https://")),
    }
}

fn protocol(value: &Value) -> Result<OtlpProtocol, String> {
    values::word(value, "protocol", &[("grpc", OtlpProtocol::Grpc), ("http/protobuf", OtlpProtocol::HttpProtobuf)])
}
