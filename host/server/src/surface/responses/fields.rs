//! The fields of `/v1/responses`, in the order of vLLM's own model. Items and tools are OpenAI's own types there; what each
//! must have is checked as far as it is used.

use crate::surface::openai::fields::{CACHE_SALT, MM_PAYLOAD, REASONING_EFFORTS, STRUCTURED_OUTPUTS, XARGS};
use crate::wire::schema::{Field, Form, INTEGER, INTEGER_64, INTEGERS, Kind, OBJECT, TEXT, field, nullable, required};

use Form::{Model, NamedModel, TypedDict};
use Kind::{List, Map, Number, Object, OneOf, Switch, Words};

/// `POST /v1/responses`
pub const RESPONSES: &[Field] = &[
    nullable("background", Switch),
    nullable("include", List(&Words(INCLUDES), None)),
    required("input", OneOf(&[TEXT, List(&ITEM, None)])),
    nullable("instructions", TEXT),
    nullable("max_output_tokens", INTEGER),
    nullable("max_tool_calls", INTEGER),
    nullable("metadata", Map(&TEXT)),
    nullable("model", TEXT),
    nullable("logit_bias", Map(&Number)),
    nullable("parallel_tool_calls", Switch),
    nullable("previous_response_id", TEXT),
    nullable("prompt", OBJECT),
    nullable("reasoning", REASONING),
    field("include_reasoning", Switch),
    field("service_tier", Words(&["auto", "default", "flex", "scale", "priority"])),
    nullable("store", Switch),
    nullable("stream", Switch),
    nullable("temperature", Number),
    nullable("text", TEXT_CONFIG),
    field("tool_choice", TOOL_CHOICE),
    field("tools", List(&TOOL, None)),
    nullable("top_logprobs", INTEGER),
    nullable("top_p", Number),
    nullable("top_k", INTEGER),
    nullable("min_p", Number),
    nullable("truncation", Words(&["auto", "disabled"])),
    nullable("user", TEXT),
    nullable("skip_special_tokens", Switch),
    field("spaces_between_special_tokens", Switch),
    field("include_stop_str_in_output", Switch),
    nullable("presence_penalty", PENALTY),
    nullable("frequency_penalty", PENALTY),
    nullable("prompt_cache_key", TEXT),
    nullable("prompt_cache_options", CACHE_OPTIONS),
    nullable("prompt_cache_retention", CACHE_RETENTION),
    nullable("safety_identifier", TEXT),
    nullable("watermarking", Switch),
    field("request_id", TEXT),
    nullable("session_id", TEXT),
    nullable("media_io_kwargs", Map(&OBJECT)),
    nullable("mm_processor_kwargs", OBJECT),
    field("priority", INTEGER_64),
    field("mm_payload", MM_PAYLOAD),
    nullable("return_mm_kwargs", Switch),
    nullable("cache_salt", CACHE_SALT),
    field("enable_response_messages", Switch),
    nullable("previous_input_messages", List(&OBJECT, None)),
    nullable("structured_outputs", STRUCTURED_OUTPUTS),
    nullable("repetition_penalty", Number),
    nullable("seed", INTEGER_64),
    nullable("stop", OneOf(&[TEXT, List(&TEXT, Some(|limits| limits.stop_strings))])),
    nullable("stop_token_ids", INTEGERS),
    field("ignore_eos", Switch),
    nullable("vllm_xargs", XARGS),
    nullable("kv_transfer_params", OBJECT),
    nullable("ec_transfer_params", OBJECT),
    nullable("chat_template_kwargs", OBJECT),
];

/// By it a client asks for log-probabilities.
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";

const INCLUDES: &[&str] = &[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    LOGPROBS,
    "reasoning.encrypted_content",
];

/// Of OpenAI's items, those that are understood, and the others by their types alone.
const ITEM: Kind = OneOf(&[
    Object(
        TypedDict,
        "EasyInputMessageParam",
        &[
            required("content", OneOf(&[TEXT, List(&PART, None)])),
            required("role", Words(&["user", "assistant", "system", "developer"])),
            field("type", Words(&["message"])),
        ],
    ),
    Object(
        TypedDict,
        "ResponseFunctionToolCallParam",
        &[
            required("arguments", TEXT),
            required("call_id", TEXT),
            required("name", TEXT),
            required("type", Words(&["function_call"])),
        ],
    ),
    Object(
        TypedDict,
        "FunctionCallOutput",
        &[
            required("call_id", TEXT),
            required("output", OneOf(&[TEXT, List(&PART, None)])),
            required("type", Words(&["function_call_output", "custom_tool_call_output"])),
        ],
    ),
    Object(
        TypedDict,
        "ResponseReasoningItemParam",
        &[required("summary", List(&OBJECT, None)), required("type", Words(&["reasoning"]))],
    ),
    Object(
        TypedDict,
        "ResponseCustomToolCallParam",
        &[
            required("call_id", TEXT),
            required("input", TEXT),
            required("name", TEXT),
            required("type", Words(&["custom_tool_call"])),
        ],
    ),
    Object(TypedDict, "OtherItem", &[required("type", Words(OTHER_ITEMS))]),
]);
const PART: Kind = Object(
    TypedDict,
    "Part",
    &[required(
        "type",
        Words(&["input_text", "output_text", "text", "input_image", "input_audio", "input_file", "refusal"]),
    )],
);
const OTHER_ITEMS: &[&str] = &[
    "item_reference",
    "web_search_call",
    "file_search_call",
    "computer_call",
    "computer_call_output",
    "code_interpreter_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
];

const TOOL: Kind = OneOf(&[
    Object(
        NamedModel,
        "FunctionTool",
        &[
            required("name", TEXT),
            nullable("parameters", OBJECT),
            nullable("strict", Switch),
            required("type", Words(&["function"])),
            nullable("description", TEXT),
        ],
    ),
    Object(NamedModel, "CustomTool", &[required("name", TEXT), required("type", Words(&["custom"]))]),
    Object(NamedModel, "HostedTool", &[required("type", Words(HOSTED_TOOLS))]),
]);
const HOSTED_TOOLS: &[&str] = &[
    "file_search",
    "computer",
    "computer_use_preview",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "mcp",
    "code_interpreter",
    "image_generation",
    "local_shell",
    "shell",
    "apply_patch",
    "namespace",
    "tool_search",
];
const TOOL_CHOICE: Kind = OneOf(&[
    Words(&["none", "auto", "required"]),
    Object(
        NamedModel,
        "ToolChoiceFunction",
        &[required("name", TEXT), required("type", Words(&["function", "custom"]))],
    ),
    Object(
        NamedModel,
        "ToolChoiceTypes",
        &[required(
            "type",
            Words(&[
                "allowed_tools",
                "mcp",
                "programmatic_tool_calling",
                "file_search",
                "web_search_preview",
                "computer",
                "computer_use_preview",
                "computer_use",
                "web_search_preview_2025_03_11",
                "image_generation",
                "code_interpreter",
                "apply_patch",
                "shell",
            ]),
        )],
    ),
]);

const PENALTY: Kind = Kind::NumberIn(-2.0, 2.0);

const CACHE_OPTIONS: Kind = Object(
    Model,
    "PromptCacheOptionsParam",
    &[
        field("mode", Words(&["implicit", "explicit"])),
        field("ttl", Words(&["30m"])),
        nullable("comparison_response_id", TEXT),
        nullable("prewarm", Switch),
    ],
);
const CACHE_RETENTION: Kind = Words(&["in_memory", "24h"]);

const REASONING: Kind = Object(
    Model,
    "Reasoning",
    &[
        nullable("context", Words(&["auto", "current_turn", "all_turns"])),
        nullable("effort", Words(REASONING_EFFORTS)),
        nullable("generate_summary", Words(SUMMARIES)),
        nullable("mode", TEXT),
        nullable("summary", Words(SUMMARIES)),
    ],
);
const SUMMARIES: &[&str] = &["auto", "concise", "detailed"];

const TEXT_CONFIG: Kind = Object(
    Model,
    "ResponseTextConfig",
    &[
        nullable(
            "format",
            OneOf(&[
                Object(NamedModel, "ResponseFormatText", &[required("type", Words(&["text"]))]),
                Object(
                    NamedModel,
                    "ResponseFormatTextJSONSchemaConfig",
                    &[
                        required("name", TEXT),
                        required("schema", OBJECT),
                        required("type", Words(&["json_schema"])),
                        nullable("description", TEXT),
                        nullable("strict", Switch),
                    ],
                ),
                Object(NamedModel, "ResponseFormatJSONObject", &[required("type", Words(&["json_object"]))]),
            ]),
        ),
        nullable("verbosity", Words(&["low", "medium", "high"])),
    ],
);
