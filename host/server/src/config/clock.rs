//! How time passes in the engine.

use std::time::Duration;

use rehearsal_engine::Clock;
use serde_json::Value;

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;
use crate::wire::wall_clock::since_1970;

keys! { Latency:
    CLOCK: Kind = Spec::one("clock", "real|manual").default("real")
        .help("manual: time stands still at 2026-01-01T00:00:00Z until POST /admin/clock advances it"), kind;
    SPEEDUP_RATIO: f64 = Spec::one("speedup-ratio", "RATIO").default("1")
        .help("how many times as fast as real time the engine's time passes; what is measured stays engine time"), ratio;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Real,
    Manual,
}

/// 2026-01-01T00:00:00Z, after 1970: what a manual clock shows at its start, whenever that is.
const MANUAL_EPOCH: Duration = Duration::from_secs(1_767_225_600);

/// How time passes in the engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClockConfig {
    /// So many times as fast as real time.
    Running(f64),
    /// As it is advanced by hand.
    Manual,
}

impl ClockConfig {
    /// The clock of all engines of a process, started now.
    pub fn start(self) -> Clock {
        match self {
            Self::Running(speedup) => Clock::scaled(since_1970(), speedup),
            Self::Manual => Clock::manual(MANUAL_EPOCH),
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> ClockConfig {
    let (kind, ratio) = (reader.read(&CLOCK), reader.given(&SPEEDUP_RATIO));
    match (kind, ratio) {
        (Kind::Real, ratio) => ClockConfig::Running(ratio.unwrap_or(1.0)),
        (Kind::Manual, None) => ClockConfig::Manual,
        (Kind::Manual, Some(_)) => {
            reader.refuse(&SPEEDUP_RATIO, "a clock that is advanced by hand has no speed".to_owned());
            ClockConfig::Manual
        }
    }
}

fn kind(value: &Value) -> Result<Kind, String> {
    values::word(value, "clock", &[("real", Kind::Real), ("manual", Kind::Manual)])
}

fn ratio(value: &Value) -> Result<f64, String> {
    let ratio = values::number(value)?.as_f64().unwrap_or_default();
    if (1e-6..=1e6).contains(&ratio) { Ok(ratio) } else { Err(format!("{ratio} is not from 0.000001 to 1000000")) }
}
