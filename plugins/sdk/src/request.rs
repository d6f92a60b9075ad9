//! What plugins ask of a request, so that each need not write it again; and requests for their tests.

use std::borrow::Cow;

use crate::{
    Arrival, ContentPart, EmbeddingInput, EmbeddingRequest, Ending, EndingOutcome, Endpoint, Message, OutputFormat,
    Prompt, Request, Role, ToolCall, ToolChoice, tokenizer,
};

impl Request {
    /// The text that the user wrote: of a conversation, its last message with the role `user`; else the prompt, token
    /// ids decoded. Empty if there is none.
    ///
    /// ```
    /// assert_eq!(rehearsal_sdk::Request::chat("hello").last_user_text(), "hello");
    /// ```
    pub fn last_user_text(&self) -> Cow<'_, str> {
        match &self.prompt {
            Prompt::Chat(messages) => messages
                .iter()
                .rfind(|message| matches!(message.role, Role::User))
                .map_or(Cow::Borrowed(""), Message::text),
            Prompt::Text(text) => Cow::Borrowed(text),
            Prompt::TokenIds(ids) => Cow::Owned(tokenizer::decode(ids)),
        }
    }

    /// The texts of all messages with the role `system` or `developer`, joined by line breaks. Empty if there are none.
    ///
    /// ```
    /// use rehearsal_sdk::{Message, Prompt, Request, Role};
    ///
    /// let mut request = Request::chat("hello");
    /// assert_eq!(request.system_text(), "");
    /// request.prompt = Prompt::Chat(vec![Message::new(Role::System, "Be brief."), Message::new(Role::User, "hello")]);
    /// assert_eq!(request.system_text(), "Be brief.");
    /// ```
    pub fn system_text(&self) -> String {
        let is_system = |message: &&Message| matches!(message.role, Role::System | Role::Developer);
        self.messages().iter().filter(is_system).map(Message::text).collect::<Vec<_>>().join("\n")
    }

    /// What tools have answered since the user last said something, in their order: the call, if a message before has it, and the
    /// result's text. An agent's script is at the step that this has the length of.
    ///
    /// ```
    /// use rehearsal_sdk::{Message, Prompt, Request, Role, ToolCall};
    ///
    /// let mut request = Request::chat("hello");
    /// assert_eq!(request.tool_results().count(), 0);
    /// let call = ToolCall { id: Some("call-1".into()), name: "add".into(), arguments: "{}".into() };
    /// request.prompt = Prompt::Chat(vec![
    ///     Message::new(Role::User, "What is 1 + 2?"),
    ///     Message { tool_calls: vec![call], ..Message::new(Role::Assistant, "") },
    ///     Message { tool_call_id: Some("call-1".into()), ..Message::new(Role::Tool, "3") },
    /// ]);
    /// let results: Vec<_> = request.tool_results().map(|(call, text)| (call.unwrap().name.as_str(), text)).collect();
    /// assert_eq!(results, [("add", "3".into())]);
    /// ```
    pub fn tool_results(&self) -> impl Iterator<Item = (Option<&ToolCall>, Cow<'_, str>)> {
        let messages = self.messages();
        let since = messages.iter().rposition(|message| matches!(message.role, Role::User)).map_or(0, |at| at + 1);
        let results = messages[since..].iter().filter(|message| matches!(message.role, Role::Tool));
        results.map(|result| {
            let mut calls = messages.iter().flat_map(|message| &message.tool_calls);
            let is_answered = |call: &&ToolCall| call.id.is_some() && call.id == result.tool_call_id;
            (calls.find(is_answered), result.text())
        })
    }

    /// The conversation; empty if the prompt is none.
    fn messages(&self) -> &[Message] {
        match &self.prompt {
            Prompt::Chat(messages) => messages,
            Prompt::Text(_) | Prompt::TokenIds(_) => &[],
        }
    }

    /// A chat request with one user message, for tests.
    ///
    /// ```
    /// use rehearsal_sdk::Request;
    ///
    /// let request = Request { seed: 7, ..Request::chat("be quick") };
    /// assert_eq!(request.last_user_text(), "be quick");
    /// ```
    pub fn chat(text: &str) -> Self {
        Self::with_prompt(Endpoint::ChatCompletions, Prompt::Chat(vec![Message::new(Role::User, text)]))
    }

    /// A completions request, for tests.
    ///
    /// ```
    /// assert_eq!(rehearsal_sdk::Request::completion("Once upon").last_user_text(), "Once upon");
    /// ```
    pub fn completion(prompt: &str) -> Self {
        Self::with_prompt(Endpoint::Completions, Prompt::Text(prompt.into()))
    }

    fn with_prompt(endpoint: Endpoint, prompt: Prompt) -> Self {
        Self {
            id: "test".into(),
            endpoint,
            model: "test-model".into(),
            prompt,
            prompt_tokens: 1,
            max_tokens: 1000,
            max_tokens_given: false,
            min_tokens: 0,
            ignore_eos: false,
            stop: Vec::new(),
            streaming: false,
            choices: 1,
            choice_index: 0,
            number: 0,
            seed: 0,
            tools: Vec::new(),
            tool_choice: ToolChoice::None,
            parallel_tool_calls: true,
            format: OutputFormat::Free,
            reasoning_effort: None,
            headers: Vec::new(),
            raw_body: None,
            extras: Vec::new(),
        }
    }
}

impl Arrival {
    /// The arrival of a chat with one user message, for tests. Its prompt is there, as for a plugin that needs it.
    ///
    /// ```
    /// use rehearsal_sdk::Arrival;
    ///
    /// let arrival = Arrival { id: "a".into(), ..Arrival::chat("be quick") };
    /// assert!(arrival.prompt.is_some());
    /// ```
    pub fn chat(text: &str) -> Self {
        Self { prompt: Some(Prompt::Chat(vec![Message::new(Role::User, text)])), ..Self::default() }
    }
}

/// A chat's, for tests: `Arrival { id: "a".into(), ..Arrival::default() }`.
impl Default for Arrival {
    fn default() -> Self {
        Self {
            id: "test".into(),
            number: 0,
            endpoint: Endpoint::ChatCompletions,
            model: "test-model".into(),
            streaming: false,
            choices: 1,
            prompt_tokens: 1,
            max_tokens: 1000,
            seed: 0,
            headers: Vec::new(),
            prompt: None,
            raw_body: None,
            extras: Vec::new(),
        }
    }
}

/// Of a chat that went well, for tests: `Ending { status: 500, ..Ending::default() }`.
impl Default for Ending {
    fn default() -> Self {
        Self {
            id: "test".into(),
            number: 0,
            endpoint: Endpoint::ChatCompletions,
            model: "test-model".into(),
            streaming: false,
            choices: 1,
            outcome: EndingOutcome::Completed("stop".into()),
            status: 200,
            on_purpose: false,
            prompt_tokens: 1,
            cached_tokens: 0,
            output_tokens: 1,
            scheduled_us: Some(0),
            first_token_us: Some(0),
            last_token_us: Some(0),
            headers: Vec::new(),
            extras: Vec::new(),
        }
    }
}

impl EmbeddingRequest {
    /// Of one text and its tokens, for tests.
    ///
    /// ```
    /// use rehearsal_sdk::EmbeddingRequest;
    ///
    /// assert_eq!(EmbeddingRequest::text("hé", 8).inputs[0].token_ids.len(), 2);
    /// ```
    pub fn text(text: &str, dimensions: u32) -> Self {
        Self {
            id: "test".into(),
            model: "test-model".into(),
            inputs: vec![EmbeddingInput { prompt: Prompt::Text(text.into()), token_ids: tokenizer::encode(text) }],
            dimensions,
            seed: 0,
            headers: Vec::new(),
            extras: Vec::new(),
        }
    }
}

/// The same question to each.
macro_rules! headers {
    ($($record:ident)+) => {$(
        impl $record {
            /// The value of a header, by its name in lower case. Needs `header:` and that name, or a pattern that it fits.
            ///
            /// ```
            /// use rehearsal_sdk::Arrival;
            ///
            /// let headers = vec![("x-tenant-id".into(), "ann".into())];
            /// assert_eq!(Arrival { headers, ..Arrival::default() }.header("x-tenant-id"), Some("ann"));
            /// ```
            pub fn header(&self, name: &str) -> Option<&str> {
                self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
            }
        }
    )+};
}

headers!(Request Arrival Ending EmbeddingRequest);

impl Message {
    /// A message of one text, for tests.
    ///
    /// ```
    /// use rehearsal_sdk::{Message, Role};
    ///
    /// assert_eq!(Message::new(Role::User, "hello").text(), "hello");
    /// ```
    pub fn new(role: Role, text: &str) -> Self {
        let parts = vec![ContentPart::Text(text.into())];
        Self { role, name: None, parts, tool_calls: Vec::new(), tool_call_id: None }
    }

    /// The text of the message; several text parts are joined by line breaks, as vLLM joins them.
    ///
    /// ```
    /// use rehearsal_sdk::{ContentPart, Message, Role};
    ///
    /// let parts = ["first", "second"].map(|text| ContentPart::Text(text.into())).into();
    /// assert_eq!(Message { parts, ..Message::new(Role::User, "") }.text(), "first\nsecond");
    /// ```
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.parts.iter().filter_map(|part| match part {
            ContentPart::Text(text) => Some(text.as_str()),
            ContentPart::Media(_) | ContentPart::Other(_) => None,
        });
        let first = Cow::Borrowed(texts.next().unwrap_or_default());
        texts.fold(first, |joined, text| joined + "\n" + text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: Role, texts: &[&str]) -> Message {
        let parts = texts.iter().map(|text| ContentPart::Text(text.to_string())).collect();
        Message { parts, ..Message::new(role, "") }
    }

    #[test]
    fn the_last_user_message_is_what_the_user_wrote() {
        let mut request = Request::chat("first");
        request.prompt = Prompt::Chat(vec![
            message(Role::User, &["first"]),
            message(Role::User, &["second", "line"]),
            message(Role::Assistant, &["reply"]),
        ]);
        assert_eq!(request.last_user_text(), "second\nline");
        request.prompt = Prompt::Chat(vec![message(Role::System, &["be kind"])]);
        assert_eq!(request.last_user_text(), "");
    }

    #[test]
    fn a_prompt_of_token_ids_is_decoded() {
        let mut request = Request::completion("");
        request.prompt = Prompt::TokenIds(tokenizer::encode("hé"));
        assert_eq!(request.last_user_text(), "hé");
    }
}
