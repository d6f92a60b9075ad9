//! The fields of requests to models that do not generate, in the order of vLLM's own models. Each has a form of texts and
//! one of a conversation.

use crate::surface::openai::fields::{CACHE_SALT, MESSAGES, NOT_NEGATIVE, TRUNCATE};
use crate::wire::schema::{Field, Form, INTEGER, INTEGER_64, Kind, OBJECT, TEXT, TEXTS, field, nullable, required};

use Kind::{List, Map, Object, OneOf, Switch, Words};

const INPUT: Kind = OneOf(&[List(&INTEGER, None), List(&List(&INTEGER, None), None), TEXT, TEXTS]);

/// What all of them have.
const COMMON: &[Field] = &[
    nullable("model", TEXT),
    nullable("user", TEXT),
    nullable("truncate_prompt_tokens", TRUNCATE),
    nullable("padding", Words(&["max_length", "do_not_pad"])),
    nullable("truncation_side", Words(&["left", "right"])),
    field("request_id", TEXT),
    field("priority", INTEGER_64),
    nullable("mm_processor_kwargs", OBJECT),
    nullable("cache_salt", CACHE_SALT),
];

/// Texts.
const OF_TEXTS: &[Field] = &[field("add_special_tokens", Switch), required("input", INPUT)];

/// A conversation.
const OF_CHAT: &[Field] = &[
    required("messages", MESSAGES),
    field("add_generation_prompt", Switch),
    field("continue_final_message", Switch),
    field("add_special_tokens", Switch),
    nullable("chat_template", TEXT),
    nullable("chat_template_kwargs", OBJECT),
    nullable("media_io_kwargs", Map(&OBJECT)),
];

/// What answers with vectors has.
const VECTORS: &[Field] = &[
    field("encoding_format", Words(&["float", "base64", "bytes", "bytes_only"])),
    field("embed_dtype", Words(&["float32", "float16", "bfloat16", "fp8_e4m3", "fp8_e5m2"])),
    field("endianness", Words(&["native", "big", "little"])),
    nullable("dimensions", INTEGER),
    nullable("use_activation", Switch),
];

/// What `/pooling` has besides.
const TASK: &[Field] = &[nullable(
    "task",
    Words(&["embed", "classify", "token_embed", "token_classify", "plugin", "embed&token_classify"]),
)];

/// What `/classify` has.
const ACTIVATION: &[Field] = &[nullable("use_activation", Switch)];

/// What `/score` and `/rerank` have.
const PAIRS: &[Field] = &[
    nullable("use_activation", Switch),
    field("max_tokens_per_query", INTEGER),
    field("max_tokens_per_doc", INTEGER),
    nullable("instruction", TEXT),
    nullable("chat_template_kwargs", OBJECT),
];

const CONTENT: Kind = Object(Form::TypedDict, "ScoreMultiModalParam", &[required("content", List(&OBJECT, None))]);
const SIDE: Kind = OneOf(&[TEXT, CONTENT, List(&OneOf(&[TEXT, CONTENT]), None)]);

/// The names that the two sides of a pair may have.
pub(super) const SIDES: [(&str, &str); 4] =
    [("queries", "documents"), ("queries", "items"), ("data_1", "data_2"), ("text_1", "text_2")];

/// Fields of those names.
const OF_SIDES: [&[Field]; 4] = [
    &[required("queries", SIDE), required("documents", SIDE)],
    &[required("queries", SIDE), required("items", SIDE)],
    &[required("data_1", SIDE), required("data_2", SIDE)],
    &[required("text_1", SIDE), required("text_2", SIDE)],
];

/// A query and what is to be ranked by it.
const OF_RERANK: &[Field] =
    &[required("query", OneOf(&[TEXT, CONTENT])), required("documents", SIDE), field("top_n", NOT_NEGATIVE)];

/// The forms of a body of `/v1/embeddings`.
pub const EMBED: &[&[&[Field]]] = &[&[OF_TEXTS, VECTORS, COMMON], &[OF_CHAT, VECTORS, COMMON]];

/// Of `/pooling`.
pub const POOL: &[&[&[Field]]] = &[&[OF_TEXTS, VECTORS, COMMON, TASK], &[OF_CHAT, VECTORS, COMMON, TASK]];

/// Of `/classify`.
pub const CLASSIFY: &[&[&[Field]]] = &[&[OF_TEXTS, ACTIVATION, COMMON], &[OF_CHAT, ACTIVATION, COMMON]];

/// Of `/score`.
pub const SCORE: &[&[&[Field]]] = &[
    &[PAIRS, COMMON, OF_SIDES[0]],
    &[PAIRS, COMMON, OF_SIDES[1]],
    &[PAIRS, COMMON, OF_SIDES[2]],
    &[PAIRS, COMMON, OF_SIDES[3]],
];

/// Of `/rerank`.
pub const RERANK: &[&[&[Field]]] = &[&[PAIRS, COMMON, OF_RERANK]];
