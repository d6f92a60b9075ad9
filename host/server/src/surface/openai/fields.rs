//! The fields of chat and text completion requests in the order of vLLM's own models, which is the order of errors.

use crate::wire::schema::{
    Field, Form, INTEGER, INTEGER_64, INTEGERS, Kind, OBJECT, TEXT, TEXTS, field, nullable, required,
};

use Form::{Dataclass, Model, TypedDict};
use Kind::{Any, Integer, Iterable, List, Map, Number, Object, OneOf, Switch, Text, Words};

/// `POST /v1/chat/completions`
pub const CHAT: &[Field] = &[
    required("messages", MESSAGES),
    nullable("model", TEXT),
    nullable("frequency_penalty", Number),
    nullable("logit_bias", Map(&Number)),
    nullable("logprobs", Switch),
    nullable("top_logprobs", INTEGER),
    nullable("max_tokens", INTEGER),
    nullable("max_completion_tokens", INTEGER),
    nullable("n", INTEGER),
    nullable("presence_penalty", Number),
    nullable("response_format", RESPONSE_FORMAT),
    nullable("seed", INTEGER_64),
    nullable("stop", STOP),
    nullable("stream", Switch),
    nullable("stream_options", STREAM_OPTIONS),
    nullable("temperature", Number),
    nullable("top_p", Number),
    nullable("tools", TOOLS),
    nullable("tool_choice", TOOL_CHOICE),
    nullable("reasoning_effort", Words(REASONING_EFFORTS)),
    nullable("thinking_token_budget", INTEGER),
    field("include_reasoning", Switch),
    nullable("parallel_tool_calls", Switch),
    nullable("user", TEXT),
    field("use_beam_search", Switch),
    nullable("top_k", INTEGER),
    nullable("min_p", Number),
    nullable("repetition_penalty", Number),
    nullable("watermarking", Switch),
    field("length_penalty", Number),
    nullable("stop_token_ids", INTEGERS),
    field("include_stop_str_in_output", Switch),
    field("ignore_eos", Switch),
    field("min_tokens", INTEGER),
    nullable("skip_special_tokens", Switch),
    field("spaces_between_special_tokens", Switch),
    nullable("truncate_prompt_tokens", TRUNCATE),
    nullable("truncation_side", SIDE),
    nullable("prompt_logprobs", INTEGER),
    nullable("logprob_token_ids", INTEGERS),
    nullable("allowed_token_ids", INTEGERS),
    field("bad_words", TEXTS),
    field("echo", Switch),
    field("add_generation_prompt", Switch),
    field("continue_final_message", Switch),
    field("add_special_tokens", Switch),
    nullable("documents", List(&Map(&TEXT), None)),
    nullable("chat_template", TEXT),
    nullable("chat_template_kwargs", OBJECT),
    nullable("media_io_kwargs", Map(&OBJECT)),
    nullable("mm_processor_kwargs", OBJECT),
    nullable("structured_outputs", STRUCTURED_OUTPUTS),
    field("priority", INTEGER_64),
    field("request_id", TEXT),
    nullable("session_id", TEXT),
    nullable("return_tokens_as_token_ids", Switch),
    nullable("return_token_ids", Switch),
    field("return_weight_versions", Switch),
    field("routed_experts_prompt_start", NOT_NEGATIVE),
    nullable("return_token_offsets", Switch),
    nullable("return_prompt_text", Switch),
    field("mm_payload", MM_PAYLOAD),
    nullable("return_mm_kwargs", Switch),
    nullable("cache_salt", CACHE_SALT),
    nullable("kv_transfer_params", OBJECT),
    nullable("ec_transfer_params", OBJECT),
    nullable("vllm_xargs", XARGS),
    nullable("repetition_detection", REPETITION),
    nullable("stream_interval", Integer(1, i128::MAX)),
];

/// `POST /v1/completions`
pub const COMPLETION: &[Field] = &[
    nullable("model", TEXT),
    nullable("prompt", PROMPT),
    nullable("echo", Switch),
    nullable("frequency_penalty", Number),
    nullable("logit_bias", Map(&Number)),
    nullable("logprobs", INTEGER),
    nullable("max_tokens", INTEGER),
    field("n", INTEGER),
    nullable("presence_penalty", Number),
    nullable("seed", INTEGER_64),
    nullable("stop", STOP),
    nullable("stream", Switch),
    nullable("stream_options", STREAM_OPTIONS),
    nullable("suffix", TEXT),
    nullable("temperature", Number),
    nullable("top_p", Number),
    nullable("user", TEXT),
    field("use_beam_search", Switch),
    nullable("top_k", INTEGER),
    nullable("min_p", Number),
    nullable("repetition_penalty", Number),
    nullable("watermarking", Switch),
    field("length_penalty", Number),
    nullable("stop_token_ids", INTEGERS),
    field("include_stop_str_in_output", Switch),
    field("ignore_eos", Switch),
    field("min_tokens", INTEGER),
    nullable("skip_special_tokens", Switch),
    field("spaces_between_special_tokens", Switch),
    nullable("truncate_prompt_tokens", TRUNCATE),
    nullable("truncation_side", SIDE),
    nullable("allowed_token_ids", INTEGERS),
    nullable("prompt_logprobs", INTEGER),
    nullable("logprob_token_ids", INTEGERS),
    field("bad_words", TEXTS),
    nullable("prompt_embeds", OneOf(&[Kind::Bytes, List(&Kind::Bytes, None)])),
    field("add_special_tokens", Switch),
    nullable("response_format", RESPONSE_FORMAT),
    nullable("structured_outputs", STRUCTURED_OUTPUTS),
    field("priority", INTEGER_64),
    field("request_id", TEXT),
    nullable("session_id", TEXT),
    nullable("return_tokens_as_token_ids", Switch),
    nullable("return_token_ids", Switch),
    field("return_weight_versions", Switch),
    field("routed_experts_prompt_start", NOT_NEGATIVE),
    nullable("return_token_offsets", Switch),
    field("mm_payload", MM_PAYLOAD),
    nullable("return_mm_kwargs", Switch),
    nullable("cache_salt", CACHE_SALT),
    nullable("kv_transfer_params", OBJECT),
    nullable("ec_transfer_params", OBJECT),
    nullable("vllm_xargs", XARGS),
    nullable("repetition_detection", REPETITION),
    nullable("thinking_token_budget", INTEGER),
    nullable("stream_interval", Integer(1, i128::MAX)),
];

/// How hard a model may be asked to think.
pub const REASONING_EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// A whole number of 0 or more.
pub const NOT_NEGATIVE: Kind = Integer(0, i128::MAX);
/// Most prompt tokens; -1: as many as the window has room for.
pub const TRUNCATE: Kind = Integer(-1, i64::MAX as i128);
/// The side that is cut.
pub const SIDE: Kind = Words(&["left", "right"]);
/// The shortest and the longest salt.
pub const CACHE_SALT: Kind = Text(1, 1024);
/// What a response may say of media.
pub const MM_PAYLOAD: Kind = Words(&["tensors", "none"]);
/// Arguments for vLLM's extensions.
pub const XARGS: Kind = Map(&OneOf(&[TEXT, INTEGER, Number, List(&OneOf(&[TEXT, INTEGER, Number]), None)]));
const STOP: Kind = OneOf(&[TEXT, List(&TEXT, Some(|limits| limits.stop_strings))]);
const PROMPT: Kind = OneOf(&[List(&NOT_NEGATIVE, None), List(&List(&NOT_NEGATIVE, None), None), TEXT, TEXTS]);
const STREAM_OPTIONS: Kind =
    Object(Model, "StreamOptions", &[nullable("include_usage", Switch), nullable("continuous_usage_stats", Switch)]);
/// When an output repeats itself.
pub const REPETITION: Kind = Object(
    Dataclass,
    "RepetitionDetectionParams",
    &[field("max_pattern_size", INTEGER), field("min_pattern_size", INTEGER), field("min_count", INTEGER)],
);

/// What the content must look like, in OpenAI's form.
pub const RESPONSE_FORMAT: Kind = OneOf(&[
    Object(
        Model,
        "ResponseFormat",
        &[
            required("type", Words(&["text", "json_object", "json_schema"])),
            nullable(
                "json_schema",
                Object(
                    Model,
                    "JsonSchemaResponseFormat",
                    &[
                        required("name", TEXT),
                        nullable("description", TEXT),
                        nullable("schema", OBJECT),
                        nullable("strict", Switch),
                    ],
                ),
            ),
        ],
    ),
    Object(
        Model,
        "StructuralTagResponseFormat",
        &[required("type", Words(&["structural_tag"])), required("format", Any)],
    ),
    Object(
        Model,
        "LegacyStructuralTagResponseFormat",
        &[
            required("type", Words(&["structural_tag"])),
            required("structures", List(&STRUCTURE, None)),
            required("triggers", TEXTS),
        ],
    ),
]);
const STRUCTURE: Kind =
    Object(Model, "LegacyStructuralTag", &[required("begin", TEXT), nullable("schema", OBJECT), required("end", TEXT)]);

/// What the content must look like, in vLLM's form.
pub const STRUCTURED_OUTPUTS: Kind = Object(
    Dataclass,
    "StructuredOutputsParams",
    &[
        nullable("json", OneOf(&[TEXT, OBJECT])),
        nullable("regex", TEXT),
        nullable("choice", TEXTS),
        nullable("grammar", TEXT),
        nullable("json_object", Switch),
        field("disable_any_whitespace", Switch),
        field("disable_additional_properties", Switch),
        nullable("whitespace_pattern", TEXT),
        nullable("structural_tag", TEXT),
    ],
);

/// Functions that a model may call.
pub const TOOLS: Kind = List(&TOOL, None);
const TOOL: Kind = Object(
    Model,
    "ChatCompletionToolsParam",
    &[field("type", FUNCTION), required("function", DEFINITION), nullable("defer_loading", Switch)],
);
const DEFINITION: Kind = Object(
    Model,
    "FunctionDefinition",
    &[
        required("name", TEXT),
        nullable("description", TEXT),
        nullable("parameters", OBJECT),
        nullable("strict", Switch),
        nullable("defer_loading", Switch),
    ],
);
const FUNCTION: Kind = Words(&["function"]);
const TOOL_CHOICE: Kind = OneOf(&[
    Words(&["none"]),
    Words(&["auto"]),
    Words(&["required"]),
    Object(
        Model,
        "ChatCompletionNamedToolChoiceParam",
        &[
            required("function", Object(Model, "ChatCompletionNamedFunction", &[required("name", TEXT)])),
            field("type", FUNCTION),
        ],
    ),
]);

/// A conversation. Any of the forms that a message may have is enough; which one decides nothing.
pub const MESSAGES: Kind = List(&OneOf(MESSAGE), None);
const MESSAGE: &[Kind] = &[
    Object(TypedDict, "ChatCompletionDeveloperMessageParam", &texts_of(Words(&["developer"]))),
    Object(TypedDict, "ChatCompletionSystemMessageParam", &texts_of(Words(&["system"]))),
    Object(TypedDict, "ChatCompletionUserMessageParam", &texts_of(Words(&["user"]))),
    Object(
        TypedDict,
        "ChatCompletionAssistantMessageParam",
        &[
            required("role", Words(&["assistant"])),
            nullable("audio", Object(TypedDict, "Audio", &[required("id", TEXT)])),
            nullable("content", CONTENT),
            nullable("function_call", Object(TypedDict, "FunctionCall", CALL)),
            field("name", TEXT),
            nullable("refusal", TEXT),
            field("tool_calls", Iterable),
        ],
    ),
    Object(
        TypedDict,
        "ChatCompletionToolMessageParam",
        &[required("content", CONTENT), required("role", Words(&["tool"])), required("tool_call_id", TEXT)],
    ),
    Object(
        TypedDict,
        "ChatCompletionFunctionMessageParam",
        &[
            Field { name: "content", kind: TEXT, is_required: true, takes_null: true },
            required("name", TEXT),
            required("role", FUNCTION),
        ],
    ),
    Object(
        TypedDict,
        "CustomChatCompletionMessageParam",
        &[
            required("role", TEXT),
            field("content", OneOf(&[TEXT, List(&Any, None)])),
            field("name", TEXT),
            nullable("tool_call_id", TEXT),
            nullable("tool_calls", List(&Object(TypedDict, "ToolCall", TOOL_CALL), None)),
            nullable("reasoning", OneOf(&[TEXT, Object(TypedDict, "PromptEmbeds", &[required("data", TEXT)])])),
            nullable("tools", List(&Any, None)),
            nullable("task", TEXT),
        ],
    ),
    // Of gpt-oss's own format.
    Object(
        Form::NamedModel,
        "Message",
        &[
            required("author", Object(Model, "Author", &[required("role", TEXT)])),
            field("content", List(&Any, None)),
            nullable("channel", TEXT),
            nullable("recipient", TEXT),
            nullable("content_type", TEXT),
        ],
    ),
];
const CONTENT: Kind = OneOf(&[TEXT, Iterable]);
const CALL: &[Field] = &[required("arguments", TEXT), required("name", TEXT)];
const TOOL_CALL: &[Field] =
    &[required("id", TEXT), required("function", Object(TypedDict, "Function", CALL)), required("type", FUNCTION)];

/// A call in a message of an assistant.
pub const ASSISTANT_CALL: Kind = OneOf(&[
    Object(TypedDict, "ChatCompletionMessageFunctionToolCallParam", TOOL_CALL),
    Object(
        TypedDict,
        "ChatCompletionMessageCustomToolCallParam",
        &[
            required("id", TEXT),
            required("custom", Object(TypedDict, "Custom", &[required("input", TEXT), required("name", TEXT)])),
            required("type", Words(&["custom"])),
        ],
    ),
]);

const fn texts_of(role: Kind) -> [Field; 3] {
    [required("content", CONTENT), required("role", role), field("name", TEXT)]
}

/// `POST /tokenize`, of a text.
pub const TOKENIZE_TEXT: &[Field] = &[
    nullable("model", TEXT),
    required("prompt", TEXT),
    field("add_special_tokens", Switch),
    nullable("return_token_strs", Switch),
];

/// `POST /tokenize`, of a conversation.
pub const TOKENIZE_CHAT: &[Field] = &[
    nullable("model", TEXT),
    required("messages", MESSAGES),
    field("add_generation_prompt", Switch),
    nullable("return_token_strs", Switch),
    field("continue_final_message", Switch),
    field("add_special_tokens", Switch),
    nullable("chat_template", TEXT),
    nullable("chat_template_kwargs", OBJECT),
    nullable("media_io_kwargs", Map(&OBJECT)),
    nullable("mm_processor_kwargs", OBJECT),
    nullable("tools", TOOLS),
];
