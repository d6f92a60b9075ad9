//! A conversation as every surface has it: what a chat template renders, and what strategies see of it.

use rehearsal_engine::request::Message;
use serde_json::{Map, Value};

use crate::config::RequestLimits;
use crate::wire::errors::ApiError;

/// By it templates of many models know.
const ENABLE_THINKING: &str = "enable_thinking";

/// Messages, and what else a chat template is given.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// Oldest first; may be empty.
    pub messages: Vec<Message>,
    /// The tools that a template shows, each `{"type": "function", "function": {…}}`; `None` if none were offered.
    pub tools: Option<Vec<Value>>,
    /// What a template may cite.
    pub documents: Option<Value>,
    /// End with the beginning of an answer. Never together with `continue_final_message`.
    pub add_generation_prompt: bool,
    /// End with the last message, so that the answer continues it.
    pub continue_final_message: bool,
    /// A template in the place of the model's.
    pub chat_template: Option<String>,
    /// The field that says how its media are to be processed.
    pub media_kwargs: Option<&'static str>,
    /// Variables of the template; they win over all others of their names.
    pub template_kwargs: Map<String, Value>,
}

impl Conversation {
    /// Messages alone, to be answered.
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            tools: None,
            documents: None,
            add_generation_prompt: true,
            continue_final_message: false,
            chat_template: None,
            media_kwargs: None,
            template_kwargs: Map::new(),
        }
    }

    /// Tells the template how hard to think, and so whether to think at all.
    pub fn with_effort(mut self, effort: Option<&str>) -> Self {
        if let Some(effort) = effort {
            self.template_kwargs.insert("reasoning_effort".into(), effort.into());
            self.template_kwargs.entry(ENABLE_THINKING).or_insert((effort != "none").into());
        }
        self
    }

    /// Whether the template is told not to let the model think.
    pub fn forbids_thinking(&self) -> bool {
        self.template_kwargs.get(ENABLE_THINKING) == Some(&Value::Bool(false))
    }

    /// Fails if it brings what this server lets no request bring.
    pub fn check_trust(&self, limits: &RequestLimits) -> Result<(), ApiError> {
        if self.has_own_template() && !limits.trusts_chat_template {
            let message = "chat_template: this server lets no request bring one (--trust-request-chat-template)";
            return Err(ApiError::invalid(message));
        }
        if let Some(name) = self.media_kwargs.filter(|_| !limits.trusts_media_kwargs) {
            let message = format!("{name}: this server lets no request bring them (--trust-request-mm-kwargs)");
            return Err(ApiError::invalid_param(name, message));
        }
        Ok(())
    }

    /// Whether it brings a template, under either name.
    fn has_own_template(&self) -> bool {
        self.chat_template.is_some() || self.template_kwargs.get("chat_template").is_some_and(|own| !own.is_null())
    }

    /// The text that ends the rendered text, where the answer continues it.
    pub(super) fn continued(&self) -> Option<String> {
        let last = self.messages.last().filter(|_| self.continue_final_message)?;
        Some(text_of(last).trim().to_owned())
    }
}

/// All texts of a message, a line each.
pub(super) fn text_of(message: &Message) -> String {
    let mut texts = message.texts();
    let Some(first) = texts.next() else { return String::new() };
    texts.fold(first.to_owned(), |all, text| all + "\n" + text)
}
