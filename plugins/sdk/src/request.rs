//! What plugins ask of a request, so that each need not write it again; and requests for their tests.

use std::borrow::Cow;

use crate::{
    Arrival, ContentPart, Ending, EndingOutcome, Endpoint, Message, OutputFormat, Prompt, Request, Role, ToolChoice,
    tokenizer,
};

impl Request {
    /// The text that the user wrote: of a conversation, its last message with the role `user`; else the prompt, token
    /// ids decoded. Empty if there is none.
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

    /// A chat request with one user message, for tests.
    pub fn chat(text: &str) -> Self {
        Self::with_prompt(
            Endpoint::ChatCompletions,
            Prompt::Chat(vec![Message {
                role: Role::User,
                name: None,
                parts: vec![ContentPart::Text(text.into())],
                tool_calls: Vec::new(),
                tool_call_id: None,
            }]),
        )
    }

    /// A completions request, for tests.
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
    /// The arrival of a chat request, for tests.
    pub fn with_id(id: &str) -> Self {
        Self {
            id: id.into(),
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

impl Ending {
    /// The end of a chat request that went well, for tests.
    pub fn with_id(id: &str) -> Self {
        Self {
            id: id.into(),
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

impl Message {
    /// The text of the message; several text parts are joined by line breaks, as vLLM joins them.
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
        Message { role, name: None, parts, tool_calls: Vec::new(), tool_call_id: None }
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
