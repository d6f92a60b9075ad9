//! What clients may send, and how long they may take: a server that others' tests lean on does not wait for ever.

use std::time::Duration;

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Serving:
    MAX_BODY_SIZE: usize = Spec::one("max-body-size", "SIZE").default("64MiB")
        .help("larger request bodies are answered with 413; 0: any size"), values::bytes;
    MAX_REQUEST_BODY_SIZE_MB: usize = Spec::one("max-request-body-size-mb", "MIB")
        .help("the same in MiB, as llm-d-inference-sim has it"), values::whole_number;
    MAX_CONNECTIONS: usize = Spec::one("max-connections", "N").default("0")
        .help("connections at a time, of each rank; more are closed at once. 0: as many as the system has room for"), values::whole_number;
    HEADER_TIMEOUT: Duration = Spec::one("header-timeout", "TIME").default("30s")
        .help("how long a client may take to send a request's line and headers; 0: any time"), values::duration;
    BODY_TIMEOUT: Duration = Spec::one("body-timeout", "TIME").default("60s")
        .help("how long it may pause within a request's body, which is then answered with 408; 0: any time"), values::duration;
    SEND_TIMEOUT: Duration = Spec::one("send-timeout", "TIME").default("60s")
        .help("how long it may take nothing of an answer that waits for it; then it is cut off. 0: any time"), values::duration;
    VLLM_HTTP_TIMEOUT_KEEP_ALIVE: Duration = Spec::environment("VLLM_HTTP_TIMEOUT_KEEP_ALIVE").default("5")
        .help("seconds after which a connection without a request is closed"), values::seconds;
}

/// What connections may take. `None`: as much as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// Bytes of a request's body.
    pub most_body_bytes: Option<usize>,
    /// At a time, of one rank.
    pub most_connections: Option<usize>,
    /// For a request's line and headers.
    pub header_timeout: Option<Duration>,
    /// Between two pieces of a body.
    pub body_timeout: Option<Duration>,
    /// Until a client takes more of an answer.
    pub send_timeout: Option<Duration>,
    /// Between two requests.
    pub keep_alive: Duration,
}

pub(super) fn read(reader: &mut Reader<'_>) -> ConnectionConfig {
    let in_mib = reader.given(&MAX_REQUEST_BODY_SIZE_MB).map(|mib: usize| mib.saturating_mul(1 << 20));
    let in_bytes = reader.given(&MAX_BODY_SIZE);
    if let (Some(bytes), Some(mib)) = (in_bytes, in_mib)
        && bytes != mib
    {
        reader.refuse(&MAX_REQUEST_BODY_SIZE_MB, format!("that is {mib} bytes, and max-body-size says {bytes}"));
    }
    let most_body_bytes = in_mib.unwrap_or_else(|| reader.read(&MAX_BODY_SIZE));
    let time = |time: Duration| Some(time).filter(|time| !time.is_zero());
    ConnectionConfig {
        most_body_bytes: Some(most_body_bytes).filter(|most| *most > 0),
        most_connections: Some(reader.read(&MAX_CONNECTIONS)).filter(|most| *most > 0),
        header_timeout: time(reader.read(&HEADER_TIMEOUT)),
        body_timeout: time(reader.read(&BODY_TIMEOUT)),
        send_timeout: time(reader.read(&SEND_TIMEOUT)),
        keep_alive: reader.read(&VLLM_HTTP_TIMEOUT_KEEP_ALIVE),
    }
}
