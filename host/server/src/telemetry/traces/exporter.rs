//! How spans are sent: gRPC, or HTTP with a client that needs no runtime, because spans are sent by a thread of their own.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use ureq::Agent;

use crate::config::{OtlpProtocol, TracesConfig};

/// For how long one try may take; OpenTelemetry's usual limit.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn new(config: &TracesConfig) -> Result<SpanExporter, ExporterBuildError> {
    let endpoint = config.endpoint.as_str();
    match config.protocol {
        OtlpProtocol::Grpc => {
            SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(TIMEOUT).build()
        }
        OtlpProtocol::HttpProtobuf => {
            let client = Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build();
            let client = Client(client.into());
            SpanExporter::builder().with_http().with_http_client(client).with_endpoint(endpoint).build()
        }
    }
}

#[derive(Debug)]
struct Client(Agent);

#[async_trait::async_trait]
impl opentelemetry_http::HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, opentelemetry_http::HttpError> {
        let (head, body) = request.into_parts();
        let response = self.0.run(Request::from_parts(head, body.as_ref()))?;
        let (head, mut body) = response.into_parts();
        Ok(Response::from_parts(head, body.read_to_vec()?.into()))
    }
}
