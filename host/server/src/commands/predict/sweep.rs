//! What is swept over, as the user writes it.

use std::str::FromStr;

/// What changes from row to row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Rate,
    Replicas,
}

impl Over {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Replicas => "replicas",
        }
    }

    pub(super) fn axis(self) -> &'static str {
        match self {
            Self::Rate => "requests a second",
            Self::Replicas => "replicas",
        }
    }
}

/// A number for each row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sweep {
    pub(super) over: Over,
    pub(super) values: Vec<f64>,
}

/// Rows that a sweep may have.
const MOST_ROWS: f64 = 1000.0;

impl FromStr for Sweep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, values) = text.split_once('=').ok_or("it is not like rate=1..20 or replicas=1,2,4")?;
        let over = match key {
            "rate" => Over::Rate,
            "replicas" => Over::Replicas,
            _ => return Err(format!("{key:?} cannot be swept over: rate and replicas can")),
        };
        let number = |text: &str| match text.trim().parse::<f64>() {
            Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
            _ => Err(format!("{text:?} is no number above 0")),
        };
        let values = match values.split_once("..") {
            None => values.split(',').map(number).collect::<Result<Vec<_>, _>>()?,
            Some((first, rest)) => {
                let (last, by) = rest.split_once(':').unwrap_or((rest, "1"));
                let (first, last, by) = (number(first)?, number(last)?, number(by)?);
                let n = ((last - first) / by + 1e-9).floor();
                if !(0.0..MOST_ROWS).contains(&n) {
                    return Err(format!("from {first} to {last} by {by} is no row, or more than {MOST_ROWS}"));
                }
                (0..=n as u32).map(|at| first + f64::from(at) * by).collect()
            }
        };
        let is_good = |value: &f64| over == Over::Rate || (value.fract() == 0.0 && (1.0..=1024.0).contains(value));
        match values.iter().find(|value| !is_good(value)) {
            Some(value) => Err(format!("{value} is no number of replicas from 1 to 1024")),
            None => Ok(Self { over, values }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_a_range_or_a_list() {
        let values = |text: &str| text.parse::<Sweep>().unwrap().values;
        assert_eq!(values("rate=1..3"), [1.0, 2.0, 3.0]);
        assert_eq!(values("rate=0.5..1.5:0.25"), [0.5, 0.75, 1.0, 1.25, 1.5]);
        assert_eq!(values("replicas=1,4"), [1.0, 4.0]);
        for wrong in ["rate", "speed=1", "rate=0..3", "rate=5..1", "rate=1..1e9", "replicas=1.5", "rate=a,b"] {
            assert!(wrong.parse::<Sweep>().is_err(), "{wrong}");
        }
    }
}
