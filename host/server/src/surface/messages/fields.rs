//! The fields of `/v1/messages` and `/v1/messages/count_tokens`, in the order of vLLM's own models.

use serde_json::Value;

use crate::surface::openai::fields::{CACHE_SALT, MM_PAYLOAD, XARGS};
use crate::wire::fields;
use crate::wire::schema::{Field, Form, INTEGER, Kind, OBJECT, TEXT, field, nullable, required};

use Form::Model;
use Kind::{Integer, List, Number, Object, OneOf, Rule, Switch, Tagged, Words};

/// `POST /v1/messages`
pub const MESSAGES: &[Field] = &[
    required("model", MODEL),
    required("messages", MESSAGE_LIST),
    required("max_tokens", Rule(&INTEGER, is_positive)),
    nullable("metadata", OBJECT),
    nullable("output_config", OUTPUT_CONFIG),
    nullable("thinking", THINKING),
    nullable("stop_sequences", List(&TEXT, Some(|limits| limits.stop_strings))),
    nullable("stream", Switch),
    nullable("system", SYSTEM),
    nullable("temperature", Number),
    nullable("tool_choice", TOOL_CHOICE),
    nullable("tools", TOOLS),
    nullable("top_k", INTEGER),
    nullable("top_p", Number),
    field("mm_payload", MM_PAYLOAD),
    nullable("return_mm_kwargs", Switch),
    nullable("cache_salt", CACHE_SALT),
    nullable("watermarking", Switch),
    nullable("kv_transfer_params", OBJECT),
    nullable("ec_transfer_params", OBJECT),
    nullable("vllm_xargs", XARGS),
    nullable("chat_template_kwargs", OBJECT),
];

/// `POST /v1/messages/count_tokens`
pub const COUNT_TOKENS: &[Field] = &[
    required("model", MODEL),
    required("messages", MESSAGE_LIST),
    nullable("output_config", OUTPUT_CONFIG),
    nullable("system", SYSTEM),
    nullable("thinking", THINKING),
    nullable("tool_choice", TOOL_CHOICE),
    nullable("tools", TOOLS),
    nullable("chat_template_kwargs", OBJECT),
];

const MODEL: Kind = Rule(&TEXT, |model| (model == "").then_some("Model is required"));
const MESSAGE_LIST: Kind = List(&MESSAGE, None);
const MESSAGE: Kind = Rule(
    &Object(
        Model,
        "AnthropicMessage",
        &[required("role", Words(&["user", "assistant", "system"])), required("content", CONTENT)],
    ),
    |message| if message["role"] == "system" { None } else { changes_tools(&message["content"]) },
);
const CONTENT: Kind = OneOf(&[TEXT, List(&BLOCK, None)]);
const SYSTEM: Kind = Rule(&CONTENT, changes_tools);
const BLOCK: Kind = Rule(
    &Object(
        Model,
        "AnthropicContentBlock",
        &[
            required("type", Words(BLOCK_TYPES)),
            nullable("text", TEXT),
            nullable("source", OBJECT),
            nullable("id", TEXT),
            nullable("tool_use_id", TEXT),
            nullable("name", TEXT),
            nullable("input", OBJECT),
            nullable("content", OneOf(&[TEXT, List(&OBJECT, None)])),
            nullable("is_error", Switch),
            nullable("tool_name", TEXT),
            nullable("thinking", TEXT),
            nullable("signature", TEXT),
            nullable("data", TEXT),
            nullable("tool", OBJECT),
        ],
    ),
    |block| match block["type"].as_str() {
        Some("tool_addition") if block["tool"].is_null() => Some("tool is required for tool_addition blocks"),
        Some("tool_removal") if block["tool"].is_null() => Some("tool is required for tool_removal blocks"),
        _ => None,
    },
);
const BLOCK_TYPES: &[&str] = &[
    "text",
    "image",
    "tool_use",
    "tool_result",
    "tool_reference",
    "thinking",
    "redacted_thinking",
    "tool_addition",
    "tool_removal",
];
const OUTPUT_CONFIG: Kind = Object(
    Model,
    "AnthropicOutputConfig",
    &[
        nullable("effort", Words(&["low", "medium", "high", "xhigh", "max"])),
        nullable(
            "format",
            Object(
                Model,
                "AnthropicJsonOutputFormat",
                &[nullable("schema", OBJECT), field("type", Words(&["json_schema"]))],
            ),
        ),
    ],
);
const DISPLAY: Kind = Words(&["summarized", "omitted", "updates"]);
const THINKING: Kind = Tagged(&[
    (
        "enabled",
        Object(
            Model,
            "AnthropicThinkingConfigEnabled",
            &[required("budget_tokens", Integer(1024, i128::MAX)), nullable("display", DISPLAY)],
        ),
    ),
    ("disabled", Object(Model, "AnthropicThinkingConfigDisabled", &[])),
    ("adaptive", Object(Model, "AnthropicThinkingConfigAdaptive", &[nullable("display", DISPLAY)])),
]);
const TOOL_CHOICE: Kind = Rule(
    &Object(
        Model,
        "AnthropicToolChoice",
        &[
            required("type", Words(&["auto", "any", "tool", "none"])),
            nullable("name", TEXT),
            nullable("disable_parallel_tool_use", Switch),
        ],
    ),
    |choice| {
        let is_nameless = choice["type"] == "tool" && choice["name"].as_str().is_none_or(str::is_empty);
        is_nameless.then_some("tool_choice.name is required when type is 'tool'")
    },
);
const TOOLS: Kind = List(
    &Object(
        Model,
        "AnthropicTool",
        &[
            required("name", TEXT),
            nullable("description", TEXT),
            required("input_schema", OBJECT),
            nullable("strict", Switch),
            nullable("defer_loading", Switch),
        ],
    ),
    None,
);

fn is_positive(value: &Value) -> Option<&'static str> {
    let is_positive = fields::integer(value).is_ok_and(|integer| integer > 0);
    (!is_positive).then_some("max_tokens must be positive")
}

/// Tools come and go in system messages alone.
fn changes_tools(content: &Value) -> Option<&'static str> {
    content.as_array().into_iter().flatten().find_map(|block| match block["type"].as_str() {
        Some("tool_addition") => Some("tool_addition blocks are only allowed in messages with role \"system\""),
        Some("tool_removal") => Some("tool_removal blocks are only allowed in messages with role \"system\""),
        _ => None,
    })
}
