//! What Kubernetes tells a pod of itself, through the downward API.

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Serving:
    POD_NAME: String = Spec::environment("POD_NAME")
        .help("in the header x-inference-pod of answers, beside x-inference-port"), values::any_text;
    POD_NAMESPACE: String = Spec::environment("POD_NAMESPACE")
        .help("in the header x-inference-namespace"), values::any_text;
    POD_IP: String = Spec::environment("POD_IP")
        .help("the host that a prefill answer and the topic of events name; not set: 127.0.0.1"), values::any_text;
}

/// The server's place in a cluster.
#[derive(Debug, Clone, Default)]
pub struct Pod {
    /// `POD_NAME`
    pub name: Option<String>,
    /// `POD_NAMESPACE`
    pub namespace: Option<String>,
    /// `POD_IP`
    pub ip: Option<String>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Pod {
    Pod { name: reader.given(&POD_NAME), namespace: reader.given(&POD_NAMESPACE), ip: reader.given(&POD_IP) }
}
