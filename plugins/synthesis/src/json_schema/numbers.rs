//! Integers and numbers within bounds, in steps.

use rehearsal_sdk::{Rng, RngExt};
use serde_json::{Map, Value, json};

use super::Bounds;

/// Attempts at a multiple that stays exact when it is divided.
const EXACT_TRIES: usize = 32;

/// An integer for a schema of one.
pub(super) fn integer(schema: &Map<String, Value>, bounds: &Bounds, rng: &mut impl Rng) -> Result<Value, String> {
    let (least, greatest) = range(schema, bounds.integer.0 as f64, bounds.integer.1 as f64);
    let least = whole_bound(schema, ["minimum", "exclusiveMinimum"], &least, 1);
    let greatest = whole_bound(schema, ["maximum", "exclusiveMaximum"], &greatest, -1);
    let step = schema.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0).unwrap_or(1.0);
    // With a fractional step, only its whole multiples count: 0.5 and 2.5 both reach every whole number they can.
    let step = if step.fract() == 0.0 { step } else { whole_multiple(step) } as i128;
    // Rounded up and down, as division by itself rounds towards zero.
    let (first, last) = (-(-least).div_euclid(step), greatest.div_euclid(step));
    if first > last {
        return Err(format!("no integer is between {least} and {greatest} in steps of {step}"));
    }
    let integer = rng.random_range(first..=last).saturating_mul(step);
    Ok(match (i64::try_from(integer), u64::try_from(integer)) {
        (Ok(integer), _) => json!(integer),
        (_, Ok(integer)) => json!(integer),
        _ => json!(integer as f64),
    })
}

/// A number for a schema of one.
pub(super) fn number(schema: &Map<String, Value>, bounds: &Bounds, rng: &mut impl Rng) -> Result<Value, String> {
    let (least, greatest) = range(schema, bounds.number.0, bounds.number.1);
    if least.at > greatest.at {
        return Err(format!("no number is between {} and {}", least.at, greatest.at));
    }
    if let Some(step) = schema.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0) {
        let (first, last) = ((least.at / step).ceil(), (greatest.at / step).floor());
        if first > last {
            return Err(format!("no multiple of {step} is between {} and {}", least.at, greatest.at));
        }
        return Ok(json!(multiple(first as i64, last as i64, step, rng)));
    }
    if least.at == greatest.at {
        return Ok(json!(least.at));
    }
    // Weighed, because the distance of the two may be more than a number can be.
    let weight: f64 = rng.random();
    let drawn = least.at * (1.0 - weight) + greatest.at * weight;
    // Two decimals read better, where they stay inside.
    let rounded = (drawn * 100.0).round() / 100.0;
    Ok(json!(if rounded > least.at && rounded < greatest.at { rounded } else { drawn }))
}

/// One of the multiples of `step`, written with no more decimals than it has. Preferably one that gives a whole number
/// when it is divided by `step`: some validators divide, and see that 0.14 / 0.01 is not 14.
fn multiple(first: i64, last: i64, step: f64, rng: &mut impl Rng) -> f64 {
    let decimals = step.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let mut multiple = 0.0;
    for _ in 0..EXACT_TRIES {
        let exact = rng.random_range(first..=last) as f64 * step;
        multiple = format!("{exact:.decimals$}").parse().unwrap_or(exact);
        if (multiple / step).fract() == 0.0 {
            break;
        }
    }
    multiple
}

struct Edge {
    at: f64,
    excluded: bool,
}

/// The schema's bounds; a side that it leaves open is the usual one, moved where the schema's own side lies beyond it.
fn range(schema: &Map<String, Value>, usual_least: f64, usual_greatest: f64) -> (Edge, Edge) {
    let width = usual_greatest - usual_least;
    let edge = |inclusive: &str, exclusive: &str, tighter: fn(f64, f64) -> bool| {
        let bound = schema.get(inclusive).and_then(Value::as_f64);
        match schema.get(exclusive) {
            // Draft 4 writes it as a switch beside the bound.
            Some(Value::Bool(excluded)) => bound.map(|at| Edge { at, excluded: *excluded }),
            Some(exclusive) => match (bound, exclusive.as_f64()) {
                (Some(at), Some(open)) if tighter(at, open) => Some(Edge { at, excluded: false }),
                (_, Some(at)) => Some(Edge { at, excluded: true }),
                (at, None) => at.map(|at| Edge { at, excluded: false }),
            },
            None => bound.map(|at| Edge { at, excluded: false }),
        }
    };
    let least = edge("minimum", "exclusiveMinimum", |bound, open| bound > open);
    let greatest = edge("maximum", "exclusiveMaximum", |bound, open| bound < open);
    let open = |at| Edge { at, excluded: false };
    match (least, greatest) {
        (Some(least), Some(greatest)) => (least, greatest),
        (Some(least), None) => {
            let at = if least.at < usual_greatest { usual_greatest } else { least.at + width.max(1.0) };
            (least, open(at))
        }
        (None, Some(greatest)) => {
            let at = if greatest.at > usual_least { usual_least } else { greatest.at - width.max(1.0) };
            (open(at), greatest)
        }
        (None, None) => (open(usual_least), open(usual_greatest)),
    }
}

/// The outermost whole number within a bound, exactly: numbers past 2^53 lose their last digits as floating point. `inwards`
/// is 1 for a lower bound and -1 for an upper one.
fn whole_bound(schema: &Map<String, Value>, keywords: [&str; 2], edge: &Edge, inwards: i128) -> i128 {
    let whole = |keyword: &&str| {
        let number = schema.get(*keyword)?;
        number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
    };
    let exact = keywords.iter().filter_map(whole).find(|whole| *whole as f64 == edge.at);
    let rounded = if inwards > 0 { edge.at.ceil() } else { edge.at.floor() };
    // An exclusive bound keeps an integer itself out, and nothing more.
    let excludes_itself = edge.excluded && edge.at.fract() == 0.0;
    exact.unwrap_or(rounded as i128).saturating_add(if excludes_itself { inwards } else { 0 })
}

/// The least whole number that `step` divides, of those that are worth looking for.
fn whole_multiple(step: f64) -> f64 {
    (1..=1000).map(|factor| step * f64::from(factor)).find(|multiple| multiple.fract() == 0.0).unwrap_or(1.0)
}
