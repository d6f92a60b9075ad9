//! One request, and what became of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rehearsal_engine::{EngineTime, SequenceEvent, SequenceReport};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Longer bodies are kept as far as this.
const LONGEST_BODY: usize = 1 << 20;

/// What a client sent.
#[derive(Debug, Serialize)]
pub struct Received {
    method: String,
    path: String,
    /// Names in lower case, as they came; what is secret in them is not shown.
    #[serde(serialize_with = "as_object")]
    pub(super) headers: Vec<(String, String)>,
    /// As JSON, if it is some; else as a text.
    body: Box<RawValue>,
    body_bytes: usize,
    /// That the body asks for.
    #[serde(skip)]
    model: Option<String>,
}

/// Of a body, what requests are told apart by.
#[derive(Deserialize)]
struct Named {
    model: Option<String>,
}

impl Received {
    /// A request with its whole body.
    pub(super) fn new(method: String, path: String, headers: Vec<(String, String)>, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let json = if body.len() > LONGEST_BODY { None } else { RawValue::from_string(text.to_string()).ok() };
        let body_bytes = body.len();
        let body = json.unwrap_or_else(|| {
            let end = text.floor_char_boundary(LONGEST_BODY);
            raw(&text[..end])
        });
        let model = serde_json::from_str::<Named>(body.get()).ok().and_then(|named| named.model);
        Self { method, path, headers, body, body_bytes, model }
    }

    /// Whether it has this header with this value.
    pub fn has_header(&self, name: &str, value: &str) -> bool {
        self.headers.iter().any(|(header, given)| header.eq_ignore_ascii_case(name) && given == value)
    }

    /// Whether its body asks for this model.
    pub fn asks_for(&self, model: &str) -> bool {
        self.model.as_deref() == Some(model)
    }
}

/// A request that is kept.
pub(super) struct Captured {
    pub(super) received: Received,
    /// After the first one.
    at: Duration,
    rank: u32,
    became: Mutex<Became>,
}

/// What became of it.
#[derive(Default)]
struct Became {
    status: Option<u16>,
    outcome: Option<&'static str>,
    engine: Option<InEngine>,
}

/// What the engine tells of it.
#[derive(Default)]
struct InEngine {
    prompt_tokens: u32,
    completion_tokens: u32,
    cached_tokens: u32,
    arrived: EngineTime,
    first_token: Option<EngineTime>,
    last_token: Option<EngineTime>,
    has_failed: bool,
}

/// As it is shown and written down. Times in seconds.
#[derive(Serialize)]
struct Shown<'a> {
    at: f64,
    #[serde(flatten)]
    received: &'a Received,
    replica: u32,
    status: Option<u16>,
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
    cached_tokens: Option<u32>,
    ttft: Option<f64>,
    e2e: Option<f64>,
    outcome: Option<&'static str>,
}

impl Captured {
    pub(super) fn new(received: Received, at: Duration, rank: u32) -> Self {
        Self { received, at, rank, became: Mutex::default() }
    }

    /// What it takes, more or less.
    pub(super) fn n_bytes(&self) -> usize {
        let headers = self.received.headers.iter().map(|(name, value)| name.len() + value.len() + 48);
        size_of::<Self>() + self.received.body.get().len() + self.received.path.len() + headers.sum::<usize>()
    }

    /// One of its sequences has ended.
    pub(super) fn ended(&self, sequence: &SequenceReport) {
        let (history, choice) = (&sequence.history, &sequence.choice);
        let mut became = self.became();
        let engine = became.engine.get_or_insert_with(|| InEngine { arrived: history.arrived, ..Default::default() });
        // Each prompt once.
        if choice.index.is_multiple_of(choice.request.sampling.n) {
            engine.prompt_tokens += choice.prompt().n_tokens;
            engine.cached_tokens += history.cached_tokens;
        }
        engine.completion_tokens += history.generated_tokens;
        let first = [engine.first_token, history.first_token].into_iter().flatten().min();
        (engine.first_token, engine.last_token) = (first, engine.last_token.max(history.last_token));
        engine.has_failed |= matches!(sequence.event, SequenceEvent::Failed(_));
    }

    /// It was answered with this status, whole or not.
    pub(super) fn answered(&self, status: Option<u16>, is_whole: bool) {
        let mut became = self.became();
        became.status = status;
        let has_failed = became.engine.as_ref().is_some_and(|engine| engine.has_failed);
        became.outcome = Some(match status {
            Some(400..) => "error",
            _ if has_failed => "error",
            Some(_) if is_whole => "completed",
            _ => "aborted",
        });
    }

    pub(super) fn json(&self) -> Box<RawValue> {
        let became = self.became();
        let engine = became.engine.as_ref();
        let since_arrival = |to: fn(&InEngine) -> Option<EngineTime>| {
            engine.and_then(|engine| Some(to(engine)?.since(engine.arrived).as_secs_f64()))
        };
        raw(&Shown {
            at: self.at.as_secs_f64(),
            received: &self.received,
            replica: self.rank,
            status: became.status,
            prompt_tokens: engine.map(|engine| engine.prompt_tokens),
            completion_tokens: engine.map(|engine| engine.completion_tokens),
            cached_tokens: engine.map(|engine| engine.cached_tokens),
            ttft: since_arrival(|engine| engine.first_token),
            e2e: since_arrival(|engine| engine.last_token),
            outcome: became.outcome,
        })
    }

    /// The same on one line.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = self.json().get().to_owned();
        if line.contains(['\n', '\r']) {
            // A body may be written in lines.
            let value: Value = serde_json::from_str(&line).unwrap_or_default();
            line = value.to_string();
        }
        line.push('\n');
        line.into_bytes()
    }

    fn became(&self) -> MutexGuard<'_, Became> {
        self.became.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn raw(value: &(impl Serialize + ?Sized)) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Headers that came twice are joined, as HTTP lets them be.
fn as_object<S: Serializer>(headers: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut object = serde_json::Map::new();
    for (name, value) in headers {
        match object.get_mut(name) {
            Some(Value::String(before)) => {
                before.push_str(", ");
                before.push_str(value);
            }
            _ => drop(object.insert(name.clone(), value.as_str().into())),
        }
    }
    object.serialize(serializer)
}
