//! Texts that a plugin may be asked to make vectors of.

use rehearsal_engine::request::Message;
use rehearsal_engine::{EmbeddingRequest, Prompt, PromptContent};

/// Each with what is special about it.
pub(super) fn all() -> Vec<(&'static str, EmbeddingRequest)> {
    let text = |text: &str| {
        let ids = text.chars().map(u32::from).collect();
        Prompt::encoded(PromptContent::Text(text.into()), ids)
    };
    let ids = |ids: Vec<u32>| Prompt::encoded(PromptContent::TokenIds(ids.clone()), ids);
    let chat = Prompt::encoded(PromptContent::Chat(vec![Message::user("Hello!")]), vec![1, 2]);
    vec![
        ("a text", of(384, vec![text("Hello there!")])),
        ("1 dimension", of(1, vec![text("Hello there!")])),
        ("8,192 dimensions", of(8192, vec![text("Hello there!")])),
        ("100 inputs", of(16, (0..100).map(|n| text(&format!("input {n}"))).collect())),
        ("Unicode", of(8, vec![text("नमस्ते 👩‍👩‍👧‍👦 \u{0} Ω≈ç√ 你好")])),
        ("token ids", of(8, vec![ids(vec![0, 1, 42, u32::MAX])])),
        ("a conversation", of(8, vec![chat])),
        ("a text of 10,000 tokens", of(64, vec![ids((0..10_000).collect())])),
    ]
}

fn of(dimensions: u32, inputs: Vec<Prompt>) -> EmbeddingRequest {
    EmbeddingRequest {
        request_id: "test".into(),
        model: "test-model".into(),
        inputs,
        dimensions,
        seed: 42,
        headers: Vec::new(),
    }
}
