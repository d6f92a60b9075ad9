//! Numbers that stay, and numbers that change with time.

use std::f64::consts::TAU;
use std::time::Duration;

use serde_json::Value;

use crate::config::values;

/// A number, or one that changes with time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// It stays.
    Fixed(f64),
    /// It goes from one to another.
    Function {
        /// How.
        shape: Shape,
        /// Between these.
        ends: [f64; 2],
        /// In this time.
        period: Duration,
    },
}

/// How a number goes from one end to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A sine around the middle.
    Oscillate,
    /// Straight, and then it stays.
    Ramp,
    /// Straight, again and again.
    RampReset,
    /// At the one for half of the time, and then at the other.
    SquareWave,
}

impl Number {
    /// Its value so long after it was set.
    pub fn at(self, elapsed: Duration) -> f64 {
        let Self::Function { shape, ends: [start, end], period } = self else {
            let Self::Fixed(value) = self else { return 0.0 };
            return value;
        };
        let periods = elapsed.as_secs_f64() / period.as_secs_f64();
        match shape {
            Shape::Oscillate => (start + end) / 2.0 + (end - start) / 2.0 * (TAU * periods).sin(),
            Shape::Ramp => start + (end - start) * periods.min(1.0),
            Shape::RampReset => start + (end - start) * periods.fract(),
            Shape::SquareWave => {
                if periods.fract() < 0.5 {
                    start
                } else {
                    end
                }
            }
        }
    }
}

/// `ramp:0:10:1m`
pub(super) fn function(text: &str) -> Option<Number> {
    let [shape, start, end, period] = text.split(':').map(str::trim).collect::<Vec<_>>()[..] else { return None };
    let shape = match shape {
        "oscillate" => Shape::Oscillate,
        "ramp" => Shape::Ramp,
        "rampreset" => Shape::RampReset,
        "squarewave" => Shape::SquareWave,
        _ => return None,
    };
    let period = values::duration(&Value::String(period.to_owned())).ok().filter(|period| !period.is_zero())?;
    Some(Number::Function { shape, ends: [start.parse().ok()?, end.parse().ok()?], period })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_goes_from_its_start_to_its_end() {
        let at = |text: &str, seconds: f64| function(text).unwrap().at(Duration::from_secs_f64(seconds));
        assert_eq!([0.0, 5.0, 10.0, 25.0].map(|seconds| at("ramp:2:4:10s", seconds)), [2.0, 3.0, 4.0, 4.0]);
        assert_eq!([0.0, 5.0, 10.0, 25.0].map(|seconds| at("rampreset:2:4:10s", seconds)), [2.0, 3.0, 2.0, 3.0]);
        assert_eq!([0.0, 4.0, 5.0, 11.0].map(|seconds| at("squarewave:2:4:10s", seconds)), [2.0, 2.0, 4.0, 2.0]);
        let quarters = [0.0, 2.5, 7.5].map(|seconds| at("oscillate:2:4:10s", seconds));
        assert!(quarters.iter().zip([3.0, 4.0, 2.0]).all(|(given, wanted)| (given - wanted).abs() < 1e-9));
    }
}
