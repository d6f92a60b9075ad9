//! Content that has the format a request asks for: JSON, one of several texts, a text that an expression matches.

use regex_lite::Regex;
use rehearsal_sdk::{CallError, Completion, OutputFormat, Request, Rng, RngExt};
use serde_json::{Map, Value};

use crate::json_schema::{self, Bounds, TRIES};

/// Keys of an object that may have any, and what kind of value each is likely to have.
const KEYS: [(&str, &str); 8] = [
    ("id", "integer"),
    ("name", "string"),
    ("title", "string"),
    ("description", "string"),
    ("count", "integer"),
    ("score", "number"),
    ("active", "boolean"),
    ("tags", "array"),
];

/// An answer of the format that `request` asks for, drawn with `rng`; `None` if it asks for none. A format that no answer can have,
/// or of a kind that nothing is known of, is rejected.
///
/// ```
/// use rehearsal_sdk::{Content, OutputFormat, Request, rng};
///
/// let request = Request { format: OutputFormat::Regex("[0-9]{3}".into()), ..Request::chat("hi") };
/// let completion = rehearsal_synthesis::structured(&request, &mut rng(7)).unwrap().unwrap();
/// let Some(Content::Text(text)) = completion.content else { panic!() };
/// assert!(text.len() == 3 && text.parse::<u32>().is_ok());
/// ```
pub fn structured(request: &Request, rng: &mut impl Rng) -> Option<Result<Completion, CallError>> {
    let text = match &request.format {
        OutputFormat::Free => return None,
        OutputFormat::JsonObject => Ok(object(rng)),
        OutputFormat::JsonSchema(schema) => json(schema, rng),
        OutputFormat::Choice(choices) if choices.is_empty() => Err("there is nothing to choose from".into()),
        OutputFormat::Choice(choices) => Ok(choices[rng.random_range(0..choices.len())].clone()),
        OutputFormat::Regex(pattern) => matching(pattern, rng),
        OutputFormat::Other((kind, _)) => Err(format!("nothing is known of formats of the kind {kind:?}")),
    };
    let rejected = |reason| {
        CallError::reject(400, format!("no answer was made up that has the format that is asked for: {reason}"))
    };
    Some(text.map(Completion::text).map_err(rejected))
}

/// As any model that was told to answer in JSON might.
fn object(rng: &mut impl Rng) -> String {
    let n_keys = rng.random_range(2..=4);
    let first = rng.random_range(0..KEYS.len());
    let mut object = Map::new();
    for (key, kind) in KEYS.iter().cycle().skip(first).take(n_keys) {
        let mut schema = Map::from_iter([("type".to_owned(), Value::from(*kind))]);
        if *kind == "array" {
            schema.insert("items".into(), Map::from_iter([("type".to_owned(), Value::from("string"))]).into());
        }
        let value = json_schema::value_for(&Value::Object(schema), &Bounds::default(), rng);
        object.insert((*key).to_owned(), value.unwrap_or_default());
    }
    Value::Object(object).to_string()
}

fn json(schema: &str, rng: &mut impl Rng) -> Result<String, String> {
    let schema: Value = serde_json::from_str(schema).map_err(|error| error.to_string())?;
    json_schema::value_for(&schema, &Bounds::default(), rng).map(|value| value.to_string())
}

/// A text that `pattern` matches as a whole.
fn matching(pattern: &str, rng: &mut impl Rng) -> Result<String, String> {
    let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| error.to_string())?;
    for _ in 0..TRIES {
        let text = json_schema::text_matching(pattern, rng)?;
        if whole.is_match(&text) {
            return Ok(text);
        }
    }
    Err(format!("no text was found that {pattern:?} matches"))
}

#[cfg(test)]
mod tests {
    use rehearsal_sdk::{Content, rng};

    use super::*;

    fn texts(format: OutputFormat) -> Vec<String> {
        let request = Request { format, ..Request::chat("hi") };
        let text = |seed| match structured(&request, &mut rng(seed)).unwrap().unwrap().content {
            Some(Content::Text(text)) => text,
            _ => panic!("a text was expected"),
        };
        (0..50).map(text).collect()
    }

    #[test]
    fn any_object_is_one_with_plausible_keys() {
        for text in texts(OutputFormat::JsonObject) {
            let object: Map<String, Value> = serde_json::from_str(&text).unwrap();
            assert!((2..=4).contains(&object.len()), "{text}");
        }
    }

    #[test]
    fn a_schema_is_kept_in_its_order_of_keys() {
        let schema = r#"{"type": "object", "properties": {"z": {"type": "integer"}, "a": {"type": "string"}}, "required": ["z", "a"]}"#;
        assert!(texts(OutputFormat::JsonSchema(schema.into())).iter().all(|text| text.starts_with(r#"{"z":"#)));
    }

    #[test]
    fn an_expression_matches_the_whole_text() {
        for pattern in [r"\d{3}-\d{4}", "yes|no", "(ab)+c?", r"[A-Z][a-z]*\.", "^anchored$", r"\w+@\w+\.com"] {
            let whole = Regex::new(&format!("^(?:{pattern})$")).unwrap();
            for text in texts(OutputFormat::Regex(pattern.into())) {
                assert!(whole.is_match(&text), "{pattern}: {text:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_had_is_rejected_with_the_reason() {
        let format = OutputFormat::Other(("grammar".into(), "root ::= x".into()));
        let request = Request { format, ..Request::chat("hi") };
        let Err(CallError::Reject(error)) = structured(&request, &mut rng(1)).unwrap() else { panic!() };
        assert!(error.status == 400 && error.message.contains("\"grammar\""), "{}", error.message);
        assert_eq!(structured(&Request::chat("hi"), &mut rng(1)), None);
    }
}
