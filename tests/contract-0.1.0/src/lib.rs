//! A guest that was built when the contract was at 0.1.0, with the `wit/` of that time: it exports every interface and imports every
//! function, so that it links only to a host in which nothing of 0.1.0 has changed.

#![cfg(target_family = "wasm")]
#![allow(missing_docs, clippy::all, reason = "most of it is generated")]

wit_bindgen::generate!({
    path: "wit",
    inline: "package rehearsal:everything;
        world everything {
            include rehearsal:strategy/host@0.1.0;
            export rehearsal:strategy/lifecycle@0.1.0;
            export rehearsal:strategy/generator@0.1.0;
            export rehearsal:strategy/tool-caller@0.1.0;
            export rehearsal:strategy/failure-selector@0.1.0;
        }",
    world: "rehearsal:everything/everything",
    generate_all,
});

use exports::rehearsal::strategy::{failure_selector, generator, lifecycle, tool_caller};
use rehearsal::strategy::types::{Arrival, CallError, Request, ToolCall};
use rehearsal::strategy::{log, state, tokenizer};

struct Old;

impl lifecycle::Guest for Old {
    fn describe() -> lifecycle::Description {
        lifecycle::Description {
            name: "old".into(),
            version: "0.1.0".into(),
            summary: "built for the contract's first version".into(),
            needs: vec!["prompt".into()],
            config_schema: None,
            extras: vec![("unheard-of".into(), "{}".into())],
        }
    }

    fn init(_: String) -> Result<(), String> {
        Ok(())
    }
}

impl generator::Guest for Old {
    fn generate(request: Request) -> Result<generator::Completion, CallError> {
        if log::enabled(log::Level::Trace) {
            log::log(log::Level::Trace, &request.id);
        }
        let calls = state::increment("calls", 1);
        let before = state::get("last").and_then(|last| String::from_utf8(last).ok()).unwrap_or_default();
        state::set("last", request.model.as_bytes()).map_err(CallError::Internal)?;
        state::remove("none");
        let ids = tokenizer::encode("old and well");
        let text = format!("{calls} {before} {} {}", tokenizer::count("old and well"), tokenizer::decode(&ids));
        Ok(generator::Completion {
            reasoning: None,
            content: Some(generator::Content::Text(text)),
            tool_calls: Vec::new(),
            token_limit: None,
            finish: None,
            extras: vec![("unheard-of".into(), "{}".into())],
        })
    }
}

impl tool_caller::Guest for Old {
    fn call_tools(_: Request) -> Result<Vec<ToolCall>, CallError> {
        Ok(Vec::new())
    }
}

impl failure_selector::Guest for Old {
    fn select(_: Arrival) -> Result<Vec<failure_selector::Outcome>, CallError> {
        Ok(Vec::new())
    }
}

export!(Old);
