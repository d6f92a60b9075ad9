//! Adapters that are there from the start, and how many there may be.

use std::num::NonZeroU32;

use serde_json::Value;

use super::{Reader, values};

/// An adapter of `lora-modules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraModule {
    /// As requests ask for it.
    pub name: String,
    /// Where it would be. Never opened.
    pub path: String,
    /// The model that it adapts, if the user said so.
    pub base_model: Option<String>,
}

/// `max-loras` and `max-cpu-loras`.
pub(super) fn limits(reader: &mut Reader<'_>) -> (NonZeroU32, NonZeroU32) {
    let max_loras = reader.read("max-loras", values::whole_number::<NonZeroU32>);
    let max_cpu_loras = reader.optional("max-cpu-loras", values::whole_number).unwrap_or(max_loras);
    if max_cpu_loras < max_loras {
        reader.problems.push(format!("max-cpu-loras: {max_cpu_loras} is less than max-loras ({max_loras})"));
    }
    (max_loras, max_cpu_loras)
}

/// `lora-modules`; their base model, if they name one, is `model` or one of its names.
pub(super) fn modules(reader: &mut Reader<'_>, model: &str, served: &[String]) -> Vec<LoraModule> {
    let modules = reader.optional("lora-modules", modules_of).unwrap_or_default();
    for (at, LoraModule { name, base_model, .. }) in modules.iter().enumerate() {
        if served.contains(name) {
            reader.problems.push(format!("lora-modules: {name:?} is the name of a served model"));
        }
        if modules[..at].iter().any(|other| other.name == *name) {
            reader.problems.push(format!("lora-modules: {name:?} is there twice"));
        }
        if let Some(base) = base_model.as_ref().filter(|base| *base != model && !served.contains(base)) {
            reader.problems.push(format!("lora-modules: {name:?} adapts {base:?}, which is not served"));
        }
    }
    modules
}

fn modules_of(value: &Value) -> Result<Vec<LoraModule>, String> {
    match value {
        Value::Array(values) => values.iter().map(module).collect(),
        other => Ok(vec![module(other)?]),
    }
}

/// An object, its JSON text, or `name=path`.
fn module(value: &Value) -> Result<LoraModule, String> {
    let Value::String(text) = value else { return of_object(value) };
    if text.trim_start().starts_with('{') {
        let object = serde_json::from_str(text).map_err(|error| format!("{text:?} is not JSON: {error}"))?;
        return of_object(&object);
    }
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok(LoraModule { name: name.into(), path: path.into(), base_model: None })
        }
        _ => Err(format!("{text:?} is neither name=path nor a JSON object")),
    }
}

fn of_object(value: &Value) -> Result<LoraModule, String> {
    let mut module = LoraModule { name: String::new(), path: String::new(), base_model: None };
    for (key, value) in value.as_object().ok_or_else(|| format!("{value} is no adapter"))? {
        let text = || values::name(value).map_err(|problem| format!("{key}: {problem}"));
        match key.as_str() {
            "name" => module.name = text()?,
            "path" => module.path = text()?,
            "base_model_name" if value.is_null() => {}
            "base_model_name" => module.base_model = Some(text()?),
            _ => return Err(format!("unknown key {key:?}; known are name, path, base_model_name")),
        }
    }
    match (module.name.is_empty(), module.path.is_empty()) {
        (false, false) => Ok(module),
        (true, _) => Err(format!("{value} has no name")),
        (false, true) => Err(format!("{value} has no path")),
    }
}
