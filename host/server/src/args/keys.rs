//! The table of keys: flag, file key, default and help in one row each. A test holds the README against it.

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// In kebab case, as the seeds and vLLM spell it.
    pub name: &'static str,
    /// How many values it takes on the command line.
    pub takes: Takes,
    /// As the user would write it; empty: none.
    pub default: &'static str,
    /// An environment variable that is another spelling of it.
    pub env: Option<&'static str>,
    /// One line.
    pub help: &'static str,
}

/// What follows a flag. The name stands for the value in the help.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// One value.
    One(&'static str),
    /// One or more; a list in the file.
    Several(&'static str),
    /// Nothing, or `true` or `false`; `--no-<name>` is false.
    Switch,
    /// It has no flag.
    FileOnly,
}

const fn key(name: &'static str, takes: Takes, default: &'static str, help: &'static str) -> Key {
    Key { name, takes, default, env: None, help }
}

use Takes::{FileOnly, One, Several, Switch};

/// All keys, in the order of the help.
pub const KEYS: &[Key] = &[
    key("config", One("FILE"), "", "YAML file with any of these keys; flags win over it"),
    key("host", One("ADDRESS"), "0.0.0.0", "address to listen on"),
    key("port", One("PORT"), "8000", "port to listen on; 0: the system picks one, and it is printed"),
    Key {
        name: "model",
        takes: One("NAME"),
        default: "",
        env: Some("SIM_MODEL"),
        help: "the model that is served, in name only; required",
    },
    key("served-model-name", Several("NAME"), "", "names in the API, the first one is reported; else the model's"),
    key(
        "tokenizer",
        One("NAME"),
        "",
        "a tokenizer.json or its folder, a model's id, or builtin; not given: the model's, if it is found",
    ),
    key(
        "tokenizers-cache-dir",
        One("FOLDER"),
        "",
        "where tokenizers are looked for and kept; else Hugging Face's cache",
    ),
    key("max-model-len", One("TOKENS"), "1024", "context window, prompt and output together; 32k and the like"),
    key("max-num-seqs", One("N"), "5", "sequences that run at once, at least 1"),
    key("max-waiting-queue-length", One("N"), "1000", "sequences that may wait; more are answered with 429"),
    key("strict-context-window", Switch, "false", "refuse prompt + max_tokens over the window instead of cutting"),
    key("data-parallel-size", One("N"), "1", "servers in this process, 1 to 8, on ports from `port` on, one rank each"),
    key("data-parallel-rank", One("RANK"), "", "0 to 7: the one rank that this process is, on `port`"),
    key(
        "lora-modules",
        Several("NAME=PATH"),
        "",
        "adapters that are there from the start; or JSON: name, path, base_model_name",
    ),
    key("max-loras", One("N"), "1", "distinct adapters that run at once, at least 1"),
    key("max-cpu-loras", One("N"), "", "adapters kept in memory, at least max-loras; not given: max-loras"),
    key("mode", One("PLUGIN"), "random", "the plugin that answers: random, echo, or one given with --plugin"),
    key("plugin", Several("NAME=FILE"), "", "load a component; NAME=FILE#sha256:HEX pins it"),
    key("plugin-config", Several("NAME=JSON"), "", "configuration of a plugin, a JSON object"),
    key("plugins", FileOnly, "", "plugins with their configuration and limits"),
    key("watch-plugins", Switch, "false", "look at plugin files every second and reload those that changed"),
    key("failure-plugin", One("PLUGIN"), "failure", "the plugin that decides what fails on purpose"),
    key("failure-injection-rate", One("PERCENT"), "0", "chance of a failure on purpose, 0 to 100"),
    key("failure-types", Several("TYPE"), "", "failures to choose from; none given: all six"),
    key("models", FileOnly, "", "by served name: the mode, tool-plugin and failure-plugin that answer for it"),
    key("request-overrides", Switch, "true", "let the header x-rehearsal-mode pick the plugin that answers"),
    key("tool-plugin", One("PLUGIN"), "tool-call", "the plugin that calls offered tools"),
    key("max-tool-call-integer-param", One("N"), "100", "greatest integer argument of a tool call"),
    key("min-tool-call-integer-param", One("N"), "0", "least integer argument"),
    key("max-tool-call-number-param", One("N"), "100", "greatest number argument"),
    key("min-tool-call-number-param", One("N"), "0", "least number argument"),
    key("max-tool-call-array-param-length", One("N"), "5", "elements of the longest array argument"),
    key("min-tool-call-array-param-length", One("N"), "1", "elements of the shortest array argument"),
    key("tool-call-not-required-param-probability", One("PERCENT"), "50", "chance of an argument that is not required"),
    key(
        "object-tool-call-not-required-field-probability",
        One("PERCENT"),
        "50",
        "chance of a field that is not required, in an object argument",
    ),
    key("tool-call-extra-call-probability", One("PERCENT"), "45", "chance of one more call, while there are tools"),
    key(
        "time-to-first-token",
        One("TIME"),
        "0",
        "from the queue's end to the first token; milliseconds, or 1.5s, 250us",
    ),
    key("time-to-first-token-std-dev", One("TIME"), "0", "its standard deviation, at most 30 % of it"),
    key("inter-token-latency", One("TIME"), "0", "from one token to the next"),
    key("inter-token-latency-std-dev", One("TIME"), "0", "its standard deviation, at most 30 % of it"),
    key("kv-cache-transfer-latency", One("TIME"), "0", "in the place of time-to-first-token after a remote prefill"),
    key("kv-cache-transfer-latency-std-dev", One("TIME"), "0", "its standard deviation, at most 30 % of it"),
    key("prefill-overhead", One("TIME"), "0", "prefill of any prompt, where time-to-first-token is not set"),
    key("prefill-time-per-token", One("TIME"), "0", "prefill of each token that is not cached"),
    key("prefill-time-std-dev", One("TIME"), "0", "standard deviation of the two together"),
    key("kv-cache-transfer-time-per-token", One("TIME"), "0", "where kv-cache-transfer-latency is not set"),
    key("kv-cache-transfer-time-std-dev", One("TIME"), "0", "its standard deviation"),
    key("enable-kvcache", Switch, "false", "simulate a KV cache: prefixes are found, memory runs out, events are sent"),
    key("kv-cache-size", One("BLOCKS"), "1024", "blocks of the KV cache"),
    key("block-size", One("TOKENS"), "16", "tokens of a block: 8, 16, 32, 64 or 128"),
    key(
        "prefix-caching-hash-algo",
        One("NAME"),
        "sha256_cbor_64bit",
        "how blocks are named: also sha256, sha256_cbor, xxhash, xxhash_cbor, cbor-fnv",
    ),
    Key {
        name: "hash-seed",
        takes: One("TEXT"),
        default: "",
        env: Some("PYTHONHASHSEED"),
        help: "what block names begin with; not given: the algorithm's usual one",
    },
    key("enable-prompt-tokens-details", Switch, "false", "report cached prompt tokens even without a KV cache"),
    key("zmq-endpoint", One("ADDRESS"), "tcp://localhost:5557", "where KV-cache events go; empty: nowhere"),
    key("zmq-max-connect-attempts", One("N"), "0", "tries to connect before the start fails, 0 to 10; 0: do not wait"),
    key("event-batch-size", One("N"), "16", "events of one message; fewer after a second"),
    key("event-max-pending", One("N"), "100000", "steps whose events may wait to be sent; more are dropped"),
    key("kv-events-topic", One("TEXT"), "", "the topic of events; not given: kv@<pod ip>:<port>@<model>"),
    key("use-vllm-map-event-format", Switch, "true", "events as maps; as arrays, as before vLLM 0.24, if false"),
    key("kv-events-replay-endpoint", One("ADDRESS"), "", "where missed events can be asked for; empty: nowhere"),
    key("kv-events-replay-queue-size", One("N"), "10000", "messages that are kept for those who missed them"),
    key("kv-events-config", One("JSON"), "", "all of this as vLLM takes it; wins over zmq-endpoint"),
    key("latency-calculator", One("NAME"), "", "constant or per-token; not given: whatever is set"),
    key("time-factor-under-load", One("FACTOR"), "1", "how much slower everything is with all places taken"),
    key("seed", One("N"), "", "what all randomness derives from; else the time, and it is printed"),
    key("shutdown-timeout", One("SECONDS"), "0", "how long running requests may go on after SIGTERM or SIGINT"),
    key("v", One("LEVEL"), "0", "verbosity as klog counts it: 0 info, 2 debug, 4 trace"),
    key("log-level", One("LEVEL"), "", "error, warn, info, debug or trace, or a tracing filter; wins over -v"),
    key("log-format", One("FORMAT"), "text", "text or json"),
];
