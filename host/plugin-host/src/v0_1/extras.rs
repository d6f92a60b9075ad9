//! Facts about a request that plugins are sent if they ask for them by `extras:<name>`; `wit/README.md` has the names.

use std::time::Duration;

use rehearsal_engine::{Choice, EngineTime, GenerationRequest};
use serde_json::json;

use crate::engine_view::EngineView;
use crate::needs::{Extra, Needs, TRACEPARENT};

/// A fact's name and JSON text.
type Extras = Vec<(String, String)>;

/// What a generator or a tool caller is sent.
pub(crate) fn of_choice(choice: &Choice, needs: &Needs, view: &EngineView) -> Extras {
    of(needs, |extra| match extra {
        Extra::CachedTokens => Some(choice.cached_tokens.to_string()),
        extra => of_request(extra, &choice.request, choice.arrived, view),
    })
}

/// What a failure selector is sent: nothing is cached yet.
pub(crate) fn of_arrival(request: &GenerationRequest, arrived: EngineTime, needs: &Needs, view: &EngineView) -> Extras {
    of(needs, |extra| of_request(extra, request, arrived, view))
}

/// Those that are wanted and that there are.
fn of(needs: &Needs, fact: impl Fn(Extra) -> Option<String>) -> Extras {
    needs.extras().iter().filter_map(|extra| Some((extra.name().to_owned(), fact(*extra)?))).collect()
}

fn of_request(extra: Extra, request: &GenerationRequest, arrived: EngineTime, view: &EngineView) -> Option<String> {
    match extra {
        Extra::ArrivalMs => Some(millis(arrived.since_start())),
        Extra::Load => Some(view.load()),
        Extra::Adapter => {
            request.adapter.as_ref().map(|adapter| json!({ "name": adapter.name, "id": adapter.id }).to_string())
        }
        Extra::Rank => Some(view.rank.to_string()),
        Extra::Trace => {
            let (_, traceparent) = request.headers.iter().find(|(name, _)| name == TRACEPARENT)?;
            Some(json!({ "traceparent": traceparent }).to_string())
        }
        Extra::CachedTokens => None,
    }
}

/// With microseconds behind the point, of which none is lost to a float.
fn millis(time: Duration) -> String {
    format!("{}.{:03}", time.as_millis(), time.subsec_micros() % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_keep_their_microseconds() {
        assert_eq!(millis(Duration::from_micros(90_001_002)), "90001.002");
        assert_eq!(millis(Duration::ZERO), "0.000");
    }
}
