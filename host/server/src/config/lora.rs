//! Adapters that are there from the start, and how many there may be.

use std::num::NonZeroU32;

use serde_json::Value;

use super::key::{Spec, keys};
use super::model::ModelConfig;
use super::reader::Reader;
use super::values;

keys! { Engine:
    LORA_MODULES: Vec<LoraModule> = Spec::several("lora-modules", "NAME=PATH")
        .help("adapters that are there from the start: name=path, or JSON with name, path and base_model_name"),
        modules_of;
    MAX_LORAS: NonZeroU32 = Spec::one("max-loras", "N").default("1")
        .help("distinct adapters that run at once; requests for others wait, and are overtaken at most 16 times by \
               requests for those that run"), values::whole_number;
    MAX_CPU_LORAS: NonZeroU32 = Spec::one("max-cpu-loras", "N")
        .help("adapters kept in memory, at least max-loras, which it is if not given; loading one again is logged"),
        values::whole_number;
}

/// An adapter of `lora-modules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraModule {
    /// As requests ask for it.
    pub name: String,
    /// Where it would be; empty if it was not said. Never opened.
    pub path: String,
    /// The model that it adapts, if the user said so.
    pub base_model: Option<String>,
}

/// `max-loras` and `max-cpu-loras`.
pub(super) fn limits(reader: &mut Reader<'_>) -> (NonZeroU32, NonZeroU32) {
    let max_loras = reader.read(&MAX_LORAS);
    let max_cpu_loras = reader.given(&MAX_CPU_LORAS).unwrap_or(max_loras);
    if max_cpu_loras < max_loras {
        reader.refuse(&MAX_CPU_LORAS, format!("{max_cpu_loras} is less than max-loras ({max_loras})"));
    }
    (max_loras, max_cpu_loras)
}

/// `lora-modules`; their base model, if they name one, is `model` or one of its names.
pub(super) fn modules(reader: &mut Reader<'_>, model: &ModelConfig) -> Vec<LoraModule> {
    let ModelConfig { name: model, served_names: served, .. } = model;
    let modules = reader.given(&LORA_MODULES).unwrap_or_default();
    for (at, LoraModule { name, base_model, .. }) in modules.iter().enumerate() {
        if served.contains(name) {
            reader.refuse(&LORA_MODULES, format!("{name:?} is the name of a served model: choose another"));
        }
        if modules[..at].iter().any(|other| other.name == *name) {
            reader.refuse(&LORA_MODULES, format!("{name:?} is there twice"));
        }
        if let Some(base) = base_model.as_ref().filter(|base| *base != model && !served.contains(base)) {
            // vLLM repeats it to clients and looks no further.
            let served = served.join(", ");
            let warning = format!("{name:?} adapts {base:?}, which is not served; served are {model}, {served}");
            reader.warn(&LORA_MODULES, warning);
        }
    }
    modules
}

fn modules_of(value: &Value) -> Result<Vec<LoraModule>, String> {
    match value {
        // An empty one clears a file's list, as in the reference simulator.
        Value::Array(values) => values.iter().filter(|value| *value != "").map(module).collect(),
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
        _ => Err(format!("{text:?} is neither name=path nor a JSON object with a name")),
    }
}

fn of_object(value: &Value) -> Result<LoraModule, String> {
    let mut module = LoraModule { name: String::new(), path: String::new(), base_model: None };
    for (key, value) in value.as_object().ok_or_else(|| format!("{value} is no adapter"))? {
        let text = || values::name(value).map_err(|problem| format!("{key}: {problem}"));
        match key.as_str() {
            "name" => module.name = text()?,
            "path" => module.path = values::any_text(value)?,
            "base_model_name" if value.is_null() => {}
            // vLLM has it since 0.24; what it says concerns weights alone.
            "is_3d_lora_weight" => {}
            "base_model_name" => module.base_model = Some(text()?),
            _ => return Err(format!("unknown key {key:?}; known are name, path, base_model_name")),
        }
    }
    if module.name.is_empty() { Err(format!("{value} has no name")) } else { Ok(module) }
}
