//! The batch that steps: with a profile of the step's time, and the limits that vLLM's scheduler goes by.

use std::io;
use std::num::NonZeroU32;
use std::path::Path;

use rehearsal_engine::{EngineConfig, Lockstep, StepConfig};
use rehearsal_plugin_host::regular_file;
use rehearsal_timing::profile::{Profile, builtin, builtins};
use serde_json::Value;

use super::key::{Key, Spec, keys};
use super::reader::Reader;
use super::{latency, values};

keys! { Latency:
    LATENCY_PROFILE: String = Spec::one("latency-profile", "FILE|NAME")
        .help("how long steps take, for latency-calculator: step: a file of `rehearsal fit`, or a built-in one (`rehearsal \
               profile list`). Its max-num-seqs, max-num-batched-tokens, max-model-len and KV cache are the defaults then"),
        values::name;
    STEP_TIME_STD_DEV: f64 = Spec::one("step-time-std-dev", "SHARE")
        .help("standard deviation of a step's time, as a share of it, from 0 to 0.3; not given: the profile's"), share;
    MAX_NUM_BATCHED_TOKENS: NonZeroU32 = Spec::one("max-num-batched-tokens", "TOKENS")
        .help("tokens that one step computes; not given: the profile's, or 8192"), tokens;
    LONG_PREFILL_TOKEN_THRESHOLD: u32 = Spec::one("long-prefill-token-threshold", "TOKENS").default("0")
        .help("tokens of one prompt that one step computes; 0: as many as there is room for"), values::whole_number;
    ENABLE_CHUNKED_PREFILL: bool = Spec::switch("enable-chunked-prefill").default("true")
        .help("compute prompts in chunks; else each in one step"), values::switch;
    ASYNC_SCHEDULING: bool = Spec::switch("async-scheduling")
        .help("schedule a step while the one before it runs; not given: as the profile says, or else true"), values::switch;
    DATA_PARALLEL_LOCKSTEP: bool = Spec::switch("data-parallel-lockstep")
        .help("ranks step together, as those of a mixture of experts do; not given: where the profile is of several ranks"),
        values::switch;
}

/// What a profile may have in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// The profile, if the batch steps.
pub(super) fn profile_in_force(reader: &mut Reader<'_>) -> Option<Profile> {
    let profile = reader.given(&LATENCY_PROFILE).and_then(|name| {
        let profile = found(&name, |path| reader.text_of(path, MOST_BYTES));
        profile.map_err(|problem| reader.refuse(&LATENCY_PROFILE, problem)).ok()
    });
    let is_given = reader.is_given(&LATENCY_PROFILE);
    match latency::is_step(reader) {
        Some(true) if !is_given => {
            let names: Vec<_> = builtins().map(|(name, _)| name).collect();
            let problem = format!("step needs latency-profile: a file, or one of {}", names.join(", "));
            latency::refuse_calculator(reader, problem);
            None
        }
        Some(false) if is_given => {
            reader.warn(&LATENCY_PROFILE, "it has no effect with this latency-calculator: it is for step");
            None
        }
        _ => profile,
    }
}

/// How the engine steps, if it does.
pub(super) fn read(
    reader: &mut Reader<'_>,
    profile: Option<&Profile>,
    max_num_seqs: NonZeroU32,
    max_model_len: u32,
    n_ranks: u32,
) -> Option<StepConfig> {
    let Some(profile) = profile else {
        warn_of_no_steps(reader);
        return None;
    };
    latency::warn_of_steps(reader);
    let usual = profile.steps();
    let spread = reader.given(&STEP_TIME_STD_DEV).unwrap_or(usual.spread);
    let max_num_batched_tokens = reader.given(&MAX_NUM_BATCHED_TOKENS).unwrap_or(usual.max_num_batched_tokens);
    let chunked_prefill = reader.read(&ENABLE_CHUNKED_PREFILL);
    // vLLM's two rules.
    if let Err(problem) = StepConfig::check_budget(max_num_batched_tokens, max_num_seqs) {
        reader.refuse(&MAX_NUM_BATCHED_TOKENS, problem);
    }
    if !chunked_prefill && max_num_batched_tokens.get() < max_model_len {
        let problem = format!(
            "{max_num_batched_tokens} is less than max-model-len ({max_model_len}), which it must not be \
                               without enable-chunked-prefill: a longer prompt would never be computed"
        );
        reader.refuse(&MAX_NUM_BATCHED_TOKENS, problem);
    }
    let of_several = profile.engine.data_parallel_size.is_some_and(|size| size.get() > 1);
    if of_several && n_ranks == 1 {
        let warning =
            "it is of several ranks that step together, and here is one: its steps are as short as if it had all GPUs";
        reader.warn(&LATENCY_PROFILE, warning);
    }
    let in_lockstep = reader.given(&DATA_PARALLEL_LOCKSTEP).unwrap_or(of_several && n_ranks > 1);
    Some(StepConfig {
        spread,
        max_num_batched_tokens,
        long_prefill_token_threshold: reader.read(&LONG_PREFILL_TOKEN_THRESHOLD),
        chunked_prefill,
        async_scheduling: reader.given(&ASYNC_SCHEDULING).unwrap_or(usual.async_scheduling),
        lockstep: in_lockstep.then(Lockstep::default),
        ..usual
    })
}

/// Whether a change of keys would make an engine that runs begin to step, or cease to.
pub(crate) fn is_changed(before: &EngineConfig, after: &EngineConfig) -> bool {
    before.steps.is_some() != after.steps.is_some()
}

fn warn_of_no_steps(reader: &mut Reader<'_>) {
    fn warn<T>(reader: &mut Reader<'_>, key: &Key<T>) {
        if reader.is_given(key) {
            reader.warn(key, "it has no effect without latency-calculator: step");
        }
    }
    warn(reader, &STEP_TIME_STD_DEV);
    warn(reader, &MAX_NUM_BATCHED_TOKENS);
    warn(reader, &LONG_PREFILL_TOKEN_THRESHOLD);
    warn(reader, &ENABLE_CHUNKED_PREFILL);
    warn(reader, &ASYNC_SCHEDULING);
    warn(reader, &DATA_PARALLEL_LOCKSTEP);
}

/// The built-in profile of this name, or the one in this file.
///
/// # Errors
/// With the name and what is wrong with it.
pub(crate) fn profile_of(name: &str) -> Result<Profile, String> {
    found(name, |path| regular_file::read_text(path, MOST_BYTES))
}

fn found(name: &str, read: impl FnOnce(&Path) -> io::Result<String>) -> Result<Profile, String> {
    if let Some(profile) = builtin(name) {
        return Ok(profile);
    }
    let text = read(Path::new(name)).map_err(|error| {
        let names: Vec<_> = builtins().map(|(name, _)| name).collect();
        format!(
            "{name:?} is no built-in profile, and no file that can be read ({error}); built in are {}",
            names.join(", ")
        )
    })?;
    Profile::parse(&text).map_err(|problem| format!("{name}: {problem}"))
}

fn tokens(value: &Value) -> Result<NonZeroU32, String> {
    NonZeroU32::new(values::token_count(value)?).ok_or_else(|| "0 is less than 1".to_owned())
}

fn share(value: &Value) -> Result<f64, String> {
    let share = values::number(value)?.as_f64().unwrap_or_default();
    if (0.0..=0.3).contains(&share) { Ok(share) } else { Err(format!("{share} is not from 0 to 0.3")) }
}
