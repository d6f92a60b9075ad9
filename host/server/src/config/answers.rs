//! What requests may ask for, and what answers carry.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Map, Value};

use super::key::{Key, Spec, keys};
use super::parsers::{self, ParserKind};
use super::reader::Reader;
use super::{logs, model, values};

keys! { Serving:
    STRICT_CONTEXT_WINDOW: bool = Spec::switch("strict-context-window").default("false")
        .help("refuse prompt + max_tokens over the window, as older servers do, instead of cutting"), values::switch;
    MAX_LOGPROBS: i64 = Spec::one("max-logprobs", "N").default("20")
        .help("log-probabilities per token that a request may ask for; -1: any number"), max_logprobs;
    OVERRIDE_GENERATION_CONFIG: Map<String, Value> = Spec::json("override-generation-config")
        .help("max_new_tokens is the most tokens of any answer; what it says of sampling has no effect"),
        values::json_object;
    STREAM_INTERVAL: NonZeroU32 = Spec::one("stream-interval", "TOKENS").default("1")
        .help("tokens of one event of a stream; the first one has one"), values::whole_number;
    SSE_KEEP_ALIVE_INTERVAL: Duration = Spec::one("sse-keep-alive-interval", "SECONDS").default("0")
        .help("seconds without an event after which a stream sends a comment, so that proxies keep it open; 0: never"), values::seconds;
    ENABLE_FORCE_INCLUDE_USAGE: bool = Spec::switch("enable-force-include-usage").default("false")
        .help("end every stream with its usage"), values::switch;
    ENABLE_PROMPT_TOKENS_DETAILS: bool = Spec::switch("enable-prompt-tokens-details").default("false")
        .help("report cached prompt tokens in usage even without a KV cache"), values::switch;
    ENABLE_PER_REQUEST_METRICS: bool = Spec::switch("enable-per-request-metrics").default("false")
        .help("answers have metrics: how long they waited and took; streams in their chunk of usage"), values::switch;
    ENABLE_REQUEST_ID_HEADERS: bool = Spec::switch("enable-request-id-headers").default("false")
        .help("answers have the header X-Request-Id: the request's, or one of their own"), values::switch;
    ENABLE_SERVER_LOAD_TRACKING: bool = Spec::switch("enable-server-load-tracking").default("false")
        .help("count the requests that GET /load tells of"), values::switch;
    DISABLE_FASTAPI_DOCS: bool = Spec::switch("disable-fastapi-docs").default("false")
        .help("no /openapi.json"), values::switch;
    NO_ADMIN: bool = Spec::switch("no-admin").default("false")
        .help("no /admin/* and no /fake_metrics: nothing changes while the server runs"), values::switch;
    ENABLE_AUTO_TOOL_CHOICE: bool = Spec::switch("enable-auto-tool-choice")
        .help("needs tool-call-parser, as in vLLM. Tools are called without it too; --no-enable-auto-tool-choice: \
               tool_choice auto is a 400"), values::switch;
    TOOL_CALL_PARSER: String = Spec::one("tool-call-parser", "NAME")
        .help("one of vLLM's; calls are made as such, so nothing has to be parsed"), values::any_text;
    TOOL_PARSER_PLUGIN: String = Spec::one("tool-parser-plugin", "FILE")
        .help("never opened; with it, tool-call-parser may have any name"), values::any_text;
    REASONING_PARSER: String = Spec::one("reasoning-parser", "NAME")
        .help("one of vLLM's; reasoning is what a plugin returns as such"), values::any_text;
    REASONING_PARSER_PLUGIN: String = Spec::one("reasoning-parser-plugin", "FILE")
        .help("never opened; with it, reasoning-parser may have any name"), values::any_text;
    RETURN_TOKENS_AS_TOKEN_IDS: bool = Spec::switch("return-tokens-as-token-ids").default("false")
        .help("log-probabilities name tokens token_id:N"), values::switch;
    DEFAULT_EMBEDDING_DIMENSIONS: u32 = Spec::one("default-embedding-dimensions", "N").default("384")
        .help("numbers of an embedding, unless a request says how many"), values::at_least_one;
    TRUST_REQUEST_CHAT_TEMPLATE: bool = Spec::switch("trust-request-chat-template").default("false")
        .help("a request may bring its own chat_template"), values::switch;
    TRUST_REQUEST_MM_KWARGS: bool = Spec::switch("trust-request-mm-kwargs").default("false")
        .help("a request may have media_io_kwargs and mm_processor_kwargs, which have no effect"), values::switch;
    MAX_N_SEQUENCES: i64 = Spec::environment("VLLM_MAX_N_SEQUENCES").default("16384")
        .help("the most choices of a request"), |value| values::at_least_one(value).map(i64::from);
    MAX_STOP_STRINGS: usize = Spec::environment("VLLM_MAX_STOP_STRINGS").default("4")
        .help("the most stop strings of a request"), values::whole_number;
    MAX_COMPLETION_PROMPTS: usize = Spec::environment("VLLM_MAX_COMPLETION_PROMPTS").default("1024")
        .help("the most prompts of a text completion"), values::whole_number;
    VLLM_ENABLE_RESPONSES_API_STORE: bool = Spec::environment("VLLM_ENABLE_RESPONSES_API_STORE").default("0")
        .help("1: responses are kept, to be asked for, continued and made in the background"), values::switch;
    VLLM_SERVER_DEV_MODE: bool = Spec::environment("VLLM_SERVER_DEV_MODE").default("0")
        .help("1: vLLM's endpoints for developers are there"), values::switch;
}

/// What requests may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimits {
    /// Refuse what vLLM would cut.
    pub strict_context_window: bool,
    /// Log-probabilities per token; `None`: any number.
    pub logprobs: Option<i64>,
    /// Choices.
    pub n: i64,
    /// Stop strings.
    pub stop_strings: usize,
    /// Prompts of a text completion.
    pub prompts: usize,
    /// The most output tokens of any answer.
    pub output_tokens: Option<u32>,
    /// The model may choose to call tools.
    pub auto_tool_choice: bool,
    /// Reasoning is told apart from content.
    pub has_reasoning_parser: bool,
    /// A request may bring its own chat template.
    pub trusts_chat_template: bool,
    /// A request may say how its media are processed.
    pub trusts_media_kwargs: bool,
}

/// What answers carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswersConfig {
    /// `role` of the assistant.
    pub role: String,
    /// Tokens of one event of a stream.
    pub stream_interval: NonZeroU32,
    /// A silent stream says that it is alive so often.
    pub keep_alive: Option<Duration>,
    /// Every stream ends with its usage.
    pub force_include_usage: bool,
    /// Report cached prompt tokens in `usage`.
    pub prompt_tokens_details: bool,
    /// Answers tell how long their parts took.
    pub per_request_metrics: bool,
    /// Answers have an `X-Request-Id`.
    pub request_id_headers: bool,
    /// `GET /load` counts.
    pub server_load_tracking: bool,
    /// There is no `GET /openapi.json`.
    pub hides_openapi: bool,
    /// The server can be changed while it runs.
    pub has_admin: bool,
    /// vLLM's endpoints for developers are there.
    pub dev_mode: bool,
    /// Responses are kept.
    pub response_store: bool,
    /// Numbers of an embedding, unless a request says how many.
    pub embedding_dimensions: u32,
    /// Reasoning is told apart from content.
    pub has_reasoning_parser: bool,
    /// Log-probabilities name tokens by their ids.
    pub tokens_as_ids: bool,
}

pub(super) fn limits(reader: &mut Reader<'_>) -> RequestLimits {
    RequestLimits {
        strict_context_window: reader.read(&STRICT_CONTEXT_WINDOW),
        logprobs: Some(reader.read(&MAX_LOGPROBS)).filter(|most| *most >= 0),
        n: reader.read(&MAX_N_SEQUENCES),
        stop_strings: reader.read(&MAX_STOP_STRINGS),
        prompts: reader.read(&MAX_COMPLETION_PROMPTS),
        output_tokens: max_new_tokens(reader),
        auto_tool_choice: auto_tool_choice(reader),
        has_reasoning_parser: check_parser(reader, &REASONING_PARSER, &REASONING_PARSER_PLUGIN, ParserKind::Reasoning),
        trusts_chat_template: reader.read(&TRUST_REQUEST_CHAT_TEMPLATE),
        trusts_media_kwargs: reader.read(&TRUST_REQUEST_MM_KWARGS),
    }
}

pub(super) fn read(reader: &mut Reader<'_>, has_kv_cache: bool) -> AnswersConfig {
    AnswersConfig {
        role: model::response_role(reader),
        stream_interval: reader.read(&STREAM_INTERVAL),
        keep_alive: Some(reader.read(&SSE_KEEP_ALIVE_INTERVAL)).filter(|interval| !interval.is_zero()),
        force_include_usage: reader.read(&ENABLE_FORCE_INCLUDE_USAGE),
        prompt_tokens_details: reader.read(&ENABLE_PROMPT_TOKENS_DETAILS) || has_kv_cache,
        per_request_metrics: per_request_metrics(reader),
        request_id_headers: reader.read(&ENABLE_REQUEST_ID_HEADERS),
        server_load_tracking: reader.read(&ENABLE_SERVER_LOAD_TRACKING),
        hides_openapi: reader.read(&DISABLE_FASTAPI_DOCS),
        has_admin: !reader.read(&NO_ADMIN),
        dev_mode: reader.read(&VLLM_SERVER_DEV_MODE),
        has_reasoning_parser: has_reasoning_parser(reader),
        response_store: reader.read(&VLLM_ENABLE_RESPONSES_API_STORE),
        embedding_dimensions: reader.read(&DEFAULT_EMBEDDING_DIMENSIONS),
        tokens_as_ids: reader.read(&RETURN_TOKENS_AS_TOKEN_IDS),
    }
}

fn per_request_metrics(reader: &mut Reader<'_>) -> bool {
    let are_told = reader.read(&ENABLE_PER_REQUEST_METRICS);
    if are_told && logs::disables_stats(reader) {
        let problem = "--enable-per-request-metrics needs statistics: leave --disable-log-stats out, as for vLLM";
        reader.refuse(&ENABLE_PER_REQUEST_METRICS, problem);
    }
    are_told
}

/// Whether reasoning is told apart from content.
pub(super) fn has_reasoning_parser(reader: &mut Reader<'_>) -> bool {
    reader.given(&REASONING_PARSER).is_some_and(|parser| !parser.is_empty())
}

/// Of a generation configuration, all that a simulated answer can follow.
fn max_new_tokens(reader: &mut Reader<'_>) -> Option<u32> {
    let config = reader.given(&OVERRIDE_GENERATION_CONFIG)?;
    let value = config.get("max_new_tokens").filter(|value| !value.is_null())?;
    match values::at_least_one(value) {
        Ok(most) => Some(most),
        Err(problem) => {
            reader.refuse(&OVERRIDE_GENERATION_CONFIG, format!("max_new_tokens: {problem}"));
            None
        }
    }
}

/// Tools are called unless the user says that they must not be: the seeds know no such flag.
fn auto_tool_choice(reader: &mut Reader<'_>) -> bool {
    let enabled = reader.given(&ENABLE_AUTO_TOOL_CHOICE);
    let has_parser = check_parser(reader, &TOOL_CALL_PARSER, &TOOL_PARSER_PLUGIN, ParserKind::ToolCall);
    if enabled == Some(true) && !has_parser {
        let problem = "--enable-auto-tool-choice requires --tool-call-parser, for example hermes";
        reader.refuse(&ENABLE_AUTO_TOOL_CHOICE, problem);
    }
    enabled.unwrap_or(true)
}

/// Whether a parser is named. A name that vLLM does not have may be a newer one's, so it is only a warning.
fn check_parser(reader: &mut Reader<'_>, parser: &Key<String>, plugin: &Key<String>, kind: ParserKind) -> bool {
    let has_plugin = reader.given(plugin).is_some_and(|plugin| !plugin.is_empty());
    let Some(name) = reader.given(parser).filter(|name| !name.is_empty()) else { return false };
    if !has_plugin && let Some(warning) = parsers::unknown(kind, &name) {
        reader.warn(parser, warning);
    }
    true
}

fn max_logprobs(value: &Value) -> Result<i64, String> {
    let most: i64 = values::whole_number(value)?;
    if most >= -1 { Ok(most) } else { Err(format!("{most} is not at least -1")) }
}
