//! From what a client sends to the tokens that the served model would see. Knows no HTTP.

pub mod chat_template;
pub mod conversation;
mod input;
pub mod media;
pub mod tokenizer;

use std::sync::Arc;

use rehearsal_engine::request::{ContentPart, Message};
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
    /// It may have no token at all.
    pub may_be_empty: bool,
    /// The first id that the vocabulary lacks.
    pub unknown_id: Option<i64>,
}

/// How a request wants its prompts.
#[derive(Debug, Clone, Default)]
pub struct PromptOptions {
    /// At most so many tokens.
    pub truncation: Option<Truncation>,
    /// With the tokens that the model wants around each; `None`: around those of texts.
    pub add_special_tokens: Option<bool>,
    /// The answer tells the prompt's ids, or something that follows from them.
    pub wants_ids: bool,
    /// A prompt may have no token.
    pub may_be_empty: bool,
}

/// What is cut off a prompt.
#[derive(Debug, Clone, Copy)]
pub struct Truncation {
    n_tokens: usize,
    keeps_beginning: bool,
}

impl Truncation {
    /// To `n_tokens`, of which -1 is as many as leave room for one more.
    pub fn new(n_tokens: Option<i64>, keeps_beginning: bool, max_model_len: u32) -> Option<Self> {
        let n_tokens = usize::try_from(n_tokens?).unwrap_or(max_model_len.saturating_sub(1) as usize);
        Some(Self { n_tokens, keeps_beginning })
    }

    fn cut(self, mut ids: Vec<u32>) -> Vec<u32> {
        if self.keeps_beginning {
            ids.truncate(self.n_tokens);
        } else {
            ids.drain(..ids.len().saturating_sub(self.n_tokens));
        }
        ids
    }
}

/// The tokens of a prompt, or only their number.
enum Tokens {
    Ids(Vec<u32>),
    Count(u32),
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
    pub fn of(&self, input: Input, options: &PromptOptions) -> Result<Vec<CountedPrompt>, ApiError> {
        match input {
            Input::Conversation(conversation) => Ok(vec![self.chat(*conversation, options)?]),
            Input::Prompts(prompts) => Ok(prompts.into_iter().map(|prompt| self.completion(prompt, options)).collect()),
        }
    }

    /// A conversation, with a chat template if there is one, else the messages' text alone.
    fn chat(&self, conversation: Conversation, options: &PromptOptions) -> Result<CountedPrompt, ApiError> {
        let is_special = options.add_special_tokens.unwrap_or(false);
        let tokens = match self.rendered(&conversation)? {
            Some(text) => self.with_media(self.tokens(&text, is_special, options), &conversation.messages),
            None if self.needs_ids(options) && !self.is_too_long(&conversation.messages, options) => {
                Tokens::Ids(self.plain_ids(&conversation.messages))
            }
            None => Tokens::Count(self.plain_count(&conversation.messages)),
        };
        // Without a template there is no text that could be cut.
        let at_least = self.template.is_some();
        let counted = self.counted(PromptContent::Chat(conversation.messages), tokens, at_least, options);
        // Nor any that a template would have put around nothing.
        let may_be_empty = self.template.is_none() && options.truncation.is_none_or(|cut| cut.n_tokens > 0);
        Ok(CountedPrompt { may_be_empty, ..counted })
    }

    /// A prompt of a text completion.
    fn completion(&self, prompt: PromptInput, options: &PromptOptions) -> CountedPrompt {
        match prompt {
            PromptInput::Text(text) => {
                let tokens = self.tokens(&text, options.add_special_tokens.unwrap_or(true), options);
                self.counted(PromptContent::Text(text), tokens, true, options)
            }
            PromptInput::TokenIds(given) => {
                let last = self.tokenizer.last_id();
                let unknown_id = given.iter().copied().find(|id| !(0..=i64::from(last)).contains(id));
                let ids: Vec<_> = given.into_iter().map(|id| u32::try_from(id).unwrap_or(u32::MAX)).collect();
                CountedPrompt { unknown_id, ..self.of_ids(ids, options) }
            }
            PromptInput::ManyTokenIds(ids) => {
                let last = self.tokenizer.last_id();
                let unknown_id = ids.iter().find(|id| **id > last).map(|id| i64::from(*id));
                CountedPrompt { unknown_id, ..self.of_ids(ids, options) }
            }
        }
    }

    fn of_ids(&self, ids: Vec<u32>, options: &PromptOptions) -> CountedPrompt {
        let tokens = Tokens::Ids(ids.clone());
        self.counted(PromptContent::TokenIds(ids), tokens, false, options)
    }

    fn counted(
        &self,
        content: PromptContent,
        tokens: Tokens,
        at_least: bool,
        options: &PromptOptions,
    ) -> CountedPrompt {
        let prompt = match tokens {
            Tokens::Count(n_tokens) => Prompt::counted(content, n_tokens),
            Tokens::Ids(ids) => {
                let ids = match options.truncation {
                    Some(truncation) => truncation.cut(ids),
                    None => ids,
                };
                if self.needs_ids(options) {
                    Prompt::encoded(content, ids)
                } else {
                    Prompt::counted(content, ids.len() as u32)
                }
            }
        };
        CountedPrompt { prompt, at_least, may_be_empty: options.may_be_empty, unknown_id: None }
    }

    /// The tokens of a text, as many as show that it is too long; all of them if its beginning is to be cut off.
    fn tokens(&self, text: &str, is_special: bool, options: &PromptOptions) -> Tokens {
        let text = match options.truncation {
            Some(_) => text,
            None => self.tokenizer.beginning(text, self.max_model_len as usize),
        };
        let tokenizer = &self.tokenizer;
        aside(text.len(), || match (self.needs_ids(options), is_special) {
            (true, true) => Tokens::Ids(tokenizer.encode_prompt(text)),
            (true, false) => Tokens::Ids(tokenizer.encode(text)),
            (false, true) => Tokens::Count(tokenizer.count_prompt(text)),
            (false, false) => Tokens::Count(tokenizer.count(text)),
        })
    }

    fn needs_ids(&self, options: &PromptOptions) -> bool {
        self.wants_ids || options.wants_ids || options.truncation.is_some()
    }

    /// All tokens of a conversation, however many, as ids; as a prompt's if `is_special`.
    pub fn chat_ids(&self, conversation: &Conversation, is_special: bool) -> Result<Vec<u32>, ApiError> {
        match self.rendered(conversation)? {
            Some(text) => {
                let mut ids = self.text_ids(&text, is_special);
                ids.extend(self.media_ids(&conversation.messages));
                Ok(ids)
            }
            None => Ok(self.plain_ids(&conversation.messages)),
        }
    }

    /// Of the messages' text and media alone.
    fn plain_ids(&self, messages: &[Message]) -> Vec<u32> {
        let ids = |part: &ContentPart| match part {
            ContentPart::Text(text) => self.text_ids(text, false),
            ContentPart::Media { n_tokens, digest, .. } => self.placeholders(*digest, *n_tokens).collect(),
            ContentPart::Other { .. } => Vec::new(),
        };
        messages.iter().flat_map(|message| &message.parts).flat_map(ids).collect()
    }

    fn plain_count(&self, messages: &[Message]) -> u32 {
        let count = |part: &ContentPart| match part {
            ContentPart::Text(text) => aside(text.len(), || self.tokenizer.count(text)),
            ContentPart::Media { n_tokens, .. } => *n_tokens,
            ContentPart::Other { .. } => 0,
        };
        messages.iter().flat_map(|message| &message.parts).map(count).sum()
    }

    /// Whether no ids are needed, because it will be refused. No token is shorter than a byte.
    fn is_too_long(&self, messages: &[Message], options: &PromptOptions) -> bool {
        let n_bytes: usize = messages.iter().flat_map(Message::texts).map(str::len).sum();
        options.truncation.is_none()
            && n_bytes > self.max_model_len as usize
            && self.plain_count(messages) > self.max_model_len
    }

    /// Behind a text that a template made: where in it the media stand is the template's secret.
    fn with_media(&self, tokens: Tokens, messages: &[Message]) -> Tokens {
        match tokens {
            Tokens::Ids(mut ids) => {
                ids.extend(self.media_ids(messages));
                Tokens::Ids(ids)
            }
            Tokens::Count(n_tokens) => Tokens::Count(n_tokens + self.media_ids(messages).count() as u32),
        }
    }

    fn media_ids(&self, messages: &[Message]) -> impl Iterator<Item = u32> {
        messages.iter().flat_map(|message| &message.parts).flat_map(|part| match part {
            ContentPart::Media { n_tokens, digest, .. } => self.placeholders(*digest, *n_tokens),
            ContentPart::Text(_) | ContentPart::Other { .. } => self.placeholders(0, 0),
        })
    }

    /// Ids that stand for a medium: equal media have equal ones, so that their blocks are found in the KV cache.
    fn placeholders(&self, digest: u64, n_tokens: u32) -> impl Iterator<Item = u32> + use<> {
        let n_ids = u64::from(self.tokenizer.last_id()) + 1;
        (0..u64::from(n_tokens)).map(move |at| (digest.wrapping_add(at) % n_ids) as u32)
    }

    /// All tokens of a text, however many, as ids; as a prompt's if `is_special`.
    pub fn text_ids(&self, text: &str, is_special: bool) -> Vec<u32> {
        aside(text.len(), || if is_special { self.tokenizer.encode_prompt(text) } else { self.tokenizer.encode(text) })
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

    /// The text that a chat template makes of a conversation, the request's own template first; `None` if there is none.
    fn rendered(&self, conversation: &Conversation) -> Result<Option<String>, ApiError> {
        let bytes = conversation.messages.iter().flat_map(Message::texts).map(str::len).sum();
        let Some(template) = &self.template else {
            if conversation.chat_template.is_some() {
                let message = "chat_template: no tokenizer of a model is loaded that could use one";
                return Err(ApiError::invalid_param("chat_template", message));
            }
            return Ok(None);
        };
        aside(bytes, || template.render(conversation).map(Some))
    }
}
