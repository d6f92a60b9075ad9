//! Facts that a plugin is sent if its description needs them: `extras:load` and the others that `wit/README.md` has.

use serde_json::Value;

use crate::{Arrival, Request};

/// How busy the engine was after its last step.
///
/// ```
/// use rehearsal_sdk::Load;
///
/// let load = Load { running: 3, waiting: 1, max_num_seqs: 8, kv_cache_usage: 0.5 };
/// assert!(load.running < load.max_num_seqs);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Sequences that run.
    pub running: u64,
    /// Sequences that wait.
    pub waiting: u64,
    /// Sequences that may run at once.
    pub max_num_seqs: u64,
    /// Share of the KV cache's blocks that running sequences hold, from 0 to 1.
    pub kv_cache_usage: f64,
}

impl Load {
    fn read(text: &str) -> Option<Self> {
        let load: Value = serde_json::from_str(text).ok()?;
        Some(Self {
            running: load["running"].as_u64()?,
            waiting: load["waiting"].as_u64()?,
            max_num_seqs: load["max_num_seqs"].as_u64()?,
            kv_cache_usage: load["kv_cache_usage"].as_f64()?,
        })
    }
}

/// The same questions to either; each is `None` unless the description needs it and the host tells it.
macro_rules! facts {
    ($record:ident) => {
        impl $record {
            /// The JSON text of a fact.
            ///
            /// ```
            /// use rehearsal_sdk::Arrival;
            ///
            /// let extras = vec![("rank".into(), "1".into())];
            /// let arrival = Arrival { extras, ..Arrival::default() };
            /// assert_eq!(arrival.extra("rank"), Some("1"));
            /// ```
            pub fn extra(&self, name: &str) -> Option<&str> {
                self.extras.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
            }

            /// When the request took its place in the queue, in milliseconds since the server's start, by the engine's clock.
            /// Needs `extras:arrival-ms`.
            ///
            /// ```
            /// use rehearsal_sdk::Arrival;
            ///
            /// let extras = vec![("arrival-ms".into(), "90001.5".into())];
            /// let arrival = Arrival { extras, ..Arrival::default() };
            /// assert_eq!(arrival.arrival_ms(), Some(90_001.5));
            /// ```
            pub fn arrival_ms(&self) -> Option<f64> {
                self.extra("arrival-ms")?.parse().ok()
            }

            /// How busy the engine was after its last step. Needs `extras:load`.
            ///
            /// ```
            /// use rehearsal_sdk::Arrival;
            ///
            /// let extras = vec![("load".into(), r#"{"running": 3, "waiting": 1, "max_num_seqs": 8, "kv_cache_usage": 0.5}"#.into())];
            /// let arrival = Arrival { extras, ..Arrival::default() };
            /// assert_eq!(arrival.load().unwrap().running, 3);
            /// ```
            pub fn load(&self) -> Option<Load> {
                Load::read(self.extra("load")?)
            }

            /// The name of the LoRA adapter that the request is for. Needs `extras:adapter`.
            ///
            /// ```
            /// use rehearsal_sdk::Arrival;
            ///
            /// let extras = vec![("adapter".into(), r#"{"name": "sql", "id": 2}"#.into())];
            /// let arrival = Arrival { extras, ..Arrival::default() };
            /// assert_eq!(arrival.adapter().as_deref(), Some("sql"));
            /// ```
            pub fn adapter(&self) -> Option<String> {
                let adapter: Value = serde_json::from_str(self.extra("adapter")?).ok()?;
                Some(adapter["name"].as_str()?.to_owned())
            }

            /// Which data-parallel rank answers. Needs `extras:rank`.
            ///
            /// ```
            /// use rehearsal_sdk::Arrival;
            ///
            /// let extras = vec![("rank".into(), "1".into())];
            /// let arrival = Arrival { extras, ..Arrival::default() };
            /// assert_eq!(arrival.rank(), Some(1));
            /// ```
            pub fn rank(&self) -> Option<u32> {
                self.extra("rank")?.parse().ok()
            }

            /// The `traceparent` header that the request came with. Needs `extras:trace`.
            ///
            /// ```
            /// use rehearsal_sdk::Arrival;
            ///
            /// let extras = vec![("trace".into(), r#"{"traceparent": "00-1-2-01"}"#.into())];
            /// let arrival = Arrival { extras, ..Arrival::default() };
            /// assert_eq!(arrival.traceparent().as_deref(), Some("00-1-2-01"));
            /// ```
            pub fn traceparent(&self) -> Option<String> {
                let trace: Value = serde_json::from_str(self.extra("trace")?).ok()?;
                Some(trace["traceparent"].as_str()?.to_owned())
            }
        }
    };
}

facts!(Request);
facts!(Arrival);

impl Request {
    /// Prompt tokens that were found in the KV cache. Needs `extras:cached-tokens`.
    ///
    /// ```
    /// use rehearsal_sdk::Request;
    ///
    /// let extras = vec![("cached-tokens".into(), "48".into())];
    /// assert_eq!(Request { extras, ..Request::chat("hi") }.cached_tokens(), Some(48));
    /// ```
    pub fn cached_tokens(&self) -> Option<u32> {
        self.extra("cached-tokens")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_if_they_are_there() {
        let mut request = Request::chat("hello");
        assert_eq!((request.load(), request.arrival_ms(), request.cached_tokens()), (None, None, None));
        let extras = [
            ("load", r#"{"running": 3, "waiting": 1, "max_num_seqs": 8, "kv_cache_usage": 0.25, "more": {}}"#),
            ("arrival-ms", "90001.002"),
            ("adapter", r#"{"name": "sql", "id": 2}"#),
            ("rank", "1"),
            ("trace", r#"{"traceparent": "00-1-2-01"}"#),
            ("cached-tokens", "48"),
        ];
        request.extras = extras.map(|(name, text)| (name.into(), text.into())).into();
        let load = Load { running: 3, waiting: 1, max_num_seqs: 8, kv_cache_usage: 0.25 };
        assert_eq!((request.load(), request.arrival_ms()), (Some(load), Some(90_001.002)));
        assert_eq!((request.adapter().as_deref(), request.rank()), (Some("sql"), Some(1)));
        assert_eq!((request.traceparent().as_deref(), request.cached_tokens()), (Some("00-1-2-01"), Some(48)));
    }
}
