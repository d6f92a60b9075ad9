//! From what a client sends to the tokens that the served model would see.

pub mod chat_template;
pub mod tokenizer;

use std::sync::Arc;

use rehearsal_engine::request::Message;
use rehearsal_engine::tokenizer::aside;
use rehearsal_engine::{Prompt, PromptContent, Tokenizer};

use crate::surface::openai::body::WirePrompt;
use crate::wire::errors::ApiError;
use chat_template::ChatTemplate;
use tokenizer::ServedTokenizer;

/// Makes prompts of requests.
pub struct Prompts {
    tokenizer: Arc<dyn Tokenizer>,
    template: Option<ChatTemplate>,
    max_model_len: u32,
    wants_ids: bool,
}

impl Prompts {
    /// For an engine with this context window. `wants_ids`: it must know the tokens, not only their number.
    pub fn new(served: ServedTokenizer, max_model_len: u32, wants_ids: bool) -> Self {
        Self { tokenizer: served.tokenizer, template: served.template, max_model_len, wants_ids }
    }

    /// The tokenizer of the served model.
    pub fn tokenizer(&self) -> &Arc<dyn Tokenizer> {
        &self.tokenizer
    }

    /// A conversation, read from `body`. With the model's chat template if it has one, else the messages' text alone.
    pub fn chat(&self, messages: Vec<Message>, body: &[u8]) -> Result<Prompt, ApiError> {
        let tokenizer = &self.tokenizer;
        let content = |messages| PromptContent::Chat(messages);
        if self.wants_ids {
            let ids = match &self.template {
                Some(template) => rendered(template, body, |text| tokenizer.encode(self.relevant(text)))?,
                None => self.plain_ids(&messages),
            };
            return Ok(Prompt::encoded(content(messages), ids));
        }
        let n_tokens = match &self.template {
            Some(template) => rendered(template, body, |text| tokenizer.count(self.relevant(text)))?,
            None => messages.iter().flat_map(Message::texts).map(|text| tokenizer.count(text)).sum(),
        };
        Ok(Prompt::counted(content(messages), n_tokens))
    }

    /// All tokens of a conversation, however many, as ids.
    pub fn chat_ids(&self, messages: &[Message], body: &[u8]) -> Result<Vec<u32>, ApiError> {
        match &self.template {
            Some(template) => rendered(template, body, |text| self.tokenizer.encode(text)),
            None => Ok(self.plain_ids(messages)),
        }
    }

    /// Of the messages' text alone.
    fn plain_ids(&self, messages: &[Message]) -> Vec<u32> {
        messages.iter().flat_map(Message::texts).flat_map(|text| self.text_ids(text, false)).collect()
    }

    /// All tokens of a text, however many, as ids; as a prompt's if `is_prompt`.
    pub fn text_ids(&self, text: &str, is_prompt: bool) -> Vec<u32> {
        aside(text.len(), || if is_prompt { self.tokenizer.encode_prompt(text) } else { self.tokenizer.encode(text) })
    }

    /// A prompt of a text completion.
    pub fn completion(&self, prompt: WirePrompt) -> Result<Prompt, ApiError> {
        Ok(match prompt {
            WirePrompt::Text(text) if self.wants_ids => {
                let ids = aside(text.len(), || self.tokenizer.encode_prompt(self.relevant(&text)));
                Prompt::encoded(PromptContent::Text(text), ids)
            }
            WirePrompt::Text(text) => {
                let n_tokens = aside(text.len(), || self.tokenizer.count_prompt(self.relevant(&text)));
                Prompt::counted(PromptContent::Text(text), n_tokens)
            }
            WirePrompt::TokenIds(ids) => {
                let ids = self.known_ids(&ids)?;
                if self.wants_ids {
                    Prompt::encoded(PromptContent::TokenIds(ids.clone()), ids)
                } else {
                    let n_tokens = ids.len() as u32;
                    Prompt::counted(PromptContent::TokenIds(ids), n_tokens)
                }
            }
        })
    }

    /// Whether the length of a conversation that is too long is still exact.
    pub fn counts_all_of_a_chat(&self) -> bool {
        self.template.is_none()
    }

    /// As much of a prompt as shows that it is too long.
    fn relevant<'a>(&self, text: &'a str) -> &'a str {
        self.tokenizer.beginning(text, self.max_model_len as usize)
    }

    /// Ids that the vocabulary has.
    pub fn known_ids(&self, ids: &[i64]) -> Result<Vec<u32>, ApiError> {
        let last = self.tokenizer.last_id();
        let id = |id: &i64| {
            let known = u32::try_from(*id).ok().filter(|id| *id <= last);
            known.ok_or_else(|| ApiError::invalid(format!("token id {id} is out of vocabulary")))
        };
        ids.iter().map(id).collect()
    }
}

/// What `work` makes of the text of the conversation in `body`.
fn rendered<T>(template: &ChatTemplate, body: &[u8], work: impl FnOnce(&str) -> T) -> Result<T, ApiError> {
    aside(body.len(), || Ok(work(&template.render(body)?)))
}
