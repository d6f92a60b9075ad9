//! From what a client sends to the tokens that the served model would see. Knows no HTTP.

pub mod chat_template;
pub mod conversation;
mod input;
pub mod tokenizer;

use std::sync::Arc;

use rehearsal_engine::request::Message;
use rehearsal_engine::tokenizer::aside;
use rehearsal_engine::{Prompt, PromptContent, Tokenizer};

use crate::wire::errors::ApiError;
use chat_template::ChatTemplate;
use conversation::Conversation;
pub use input::{Input, PromptInput};
use tokenizer::ServedTokenizer;

/// Makes prompts of requests.
pub struct Prompts {
    tokenizer: Arc<dyn Tokenizer>,
    template: Option<ChatTemplate>,
    max_model_len: u32,
    wants_ids: bool,
}

/// A prompt that may be longer than the context window.
pub struct CountedPrompt {
    /// The prompt. Of one that is too long, only the beginning may have been counted.
    pub prompt: Prompt,
    /// Of one that is too long it is only known that it is: vLLM cuts a text while it tokenizes it.
    pub at_least: bool,
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

    /// The prompts of a request.
    pub fn of(&self, input: Input) -> Result<Vec<CountedPrompt>, ApiError> {
        match input {
            Input::Conversation(conversation) => {
                // Without a template there is no text that could be cut.
                let at_least = self.template.is_some();
                Ok(vec![CountedPrompt { prompt: self.chat(*conversation)?, at_least }])
            }
            Input::Prompts(prompts) => prompts.into_iter().map(|prompt| self.completion(prompt)).collect(),
        }
    }

    /// A conversation, with the model's chat template if it has one, else the messages' text alone.
    fn chat(&self, conversation: Conversation) -> Result<Prompt, ApiError> {
        let tokenizer = &self.tokenizer;
        let content = |conversation: Conversation| PromptContent::Chat(conversation.messages);
        if self.wants_ids {
            let ids = match &self.template {
                Some(template) => rendered(template, &conversation, |text| tokenizer.encode(self.relevant(text)))?,
                None => self.plain_ids(&conversation.messages),
            };
            return Ok(Prompt::encoded(content(conversation), ids));
        }
        let n_tokens = match &self.template {
            Some(template) => rendered(template, &conversation, |text| tokenizer.count(self.relevant(text)))?,
            None => conversation.messages.iter().flat_map(Message::texts).map(|text| tokenizer.count(text)).sum(),
        };
        Ok(Prompt::counted(content(conversation), n_tokens))
    }

    /// All tokens of a conversation, however many, as ids.
    pub fn chat_ids(&self, conversation: &Conversation) -> Result<Vec<u32>, ApiError> {
        match &self.template {
            Some(template) => rendered(template, conversation, |text| self.tokenizer.encode(text)),
            None => Ok(self.plain_ids(&conversation.messages)),
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
    fn completion(&self, prompt: PromptInput) -> Result<CountedPrompt, ApiError> {
        let at_least = matches!(prompt, PromptInput::Text(_));
        let prompt = match prompt {
            PromptInput::Text(text) if self.wants_ids => {
                let ids = aside(text.len(), || self.tokenizer.encode_prompt(self.relevant(&text)));
                Prompt::encoded(PromptContent::Text(text), ids)
            }
            PromptInput::Text(text) => {
                let n_tokens = aside(text.len(), || self.tokenizer.count_prompt(self.relevant(&text)));
                Prompt::counted(PromptContent::Text(text), n_tokens)
            }
            PromptInput::TokenIds(ids) => {
                let ids = self.known_ids(&ids)?;
                if self.wants_ids {
                    Prompt::encoded(PromptContent::TokenIds(ids.clone()), ids)
                } else {
                    let n_tokens = ids.len() as u32;
                    Prompt::counted(PromptContent::TokenIds(ids), n_tokens)
                }
            }
        };
        Ok(CountedPrompt { prompt, at_least })
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

/// What `work` makes of the text of a conversation.
fn rendered<T>(
    template: &ChatTemplate,
    conversation: &Conversation,
    work: impl FnOnce(&str) -> T,
) -> Result<T, ApiError> {
    let bytes = conversation.messages.iter().flat_map(Message::texts).map(str::len).sum();
    aside(bytes, || Ok(work(&template.render(conversation)?)))
}
