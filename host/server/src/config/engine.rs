//! The limits of the engine, its seed, and how many of it there are.

use std::num::NonZeroU32;

use rehearsal_engine::{EngineConfig, KvCacheConfig};
use rehearsal_timing::Profile;
use serde_json::Value;

use super::key::{Spec, keys};
use super::reader::Reader;
use super::{lora, steps, values};
use crate::wire::wall_clock::since_1970;

/// What `auto` stands for: there is no memory that a longer window would have to fit into.
const AUTOMATIC_MAX_MODEL_LEN: u32 = 1024;

keys! { Engine:
    MAX_MODEL_LEN: u32 = Spec::one("max-model-len", "TOKENS").default("1024")
        .help("context window, prompt and output together; 32k is 32,000, 32K is 32,768; auto or -1: the default"),
        max_model_len;
    MAX_NUM_SEQS: NonZeroU32 = Spec::one("max-num-seqs", "N").default("5")
        .help("sequences that run at once, at least 1"), values::whole_number;
    MAX_WAITING_QUEUE_LENGTH: u32 = Spec::one("max-waiting-queue-length", "N").aliases(&["max-num-queued-reqs"])
        .default("1000").help("sequences that may wait; 0: none but those that were preempted. More are answered with 429"),
        values::whole_number;
    SCHEDULING_POLICY: bool = Spec::one("scheduling-policy", "NAME").default("fcfs")
        .help("fcfs: first come, first served; priority: the lowest priority of a request first"), has_priorities;
    SEED: u64 = Spec::one("seed", "N")
        .help("any 64-bit number; printed in the log, so that a run can be repeated; not given: the time"), values::seed;
    DATA_PARALLEL_SIZE: u32 = Spec::one("data-parallel-size", "N").shorts(&["dp"]).default("1")
        .help("servers in this process, at most 8: rank N listens on port + N, with an engine, plugins, metrics and a \
               seed of its own"), |value| values::number_in(value, 1..=MOST_RANKS);
    DATA_PARALLEL_SIZE_LOCAL: u32 = Spec::one("data-parallel-size-local", "N").shorts(&["dpl"])
        .help("how many of them are in this process, where not all are"),
        |value| values::number_in(value, 1..=MOST_RANKS);
    DATA_PARALLEL_START_RANK: u32 = Spec::one("data-parallel-start-rank", "RANK").shorts(&["dpr"]).default("0")
        .help("the rank of the first server in this process"), |value| values::number_in(value, 0..=MOST_RANKS);
    DATA_PARALLEL_RANK: u32 = Spec::one("data-parallel-rank", "RANK").shorts(&["dpn"])
        .help("this process is that one rank, on port; the sizes are then ignored. A request whose \
               x-data-parallel-rank names another rank than the port's is a 400"),
        |value| values::number_in(value, 0..=MOST_RANKS);
}

/// Servers in one process: each has its own pool of plugin instances, which takes address space.
const MOST_SERVERS: u32 = 8;

/// Servers and ranks in all processes together.
const MOST_RANKS: u32 = 1023;

/// The data-parallel ranks of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ranks {
    /// The first one's number.
    pub(super) first: u32,
    /// How many there are, at least 1.
    pub(super) n: u32,
}

pub(super) fn ranks(reader: &mut Reader<'_>) -> Ranks {
    let size = reader.read(&DATA_PARALLEL_SIZE);
    let (local, first) = (reader.given(&DATA_PARALLEL_SIZE_LOCAL), reader.read(&DATA_PARALLEL_START_RANK));
    if let Some(rank) = reader.given(&DATA_PARALLEL_RANK) {
        return Ranks { first: rank, n: 1 };
    }
    let n = local.unwrap_or(size);
    if n > MOST_SERVERS {
        let problem = format!("{n} servers are more than {MOST_SERVERS}, which one process can have");
        match local {
            Some(_) => reader.refuse(&DATA_PARALLEL_SIZE_LOCAL, problem),
            None => {
                reader.refuse(&DATA_PARALLEL_SIZE, problem + ": data-parallel-size-local says how many it is to have")
            }
        }
    }
    Ranks { first, n }
}

/// Where the batch goes in steps, `profile` has the limits of which nothing else is said.
pub(super) fn read(
    reader: &mut Reader<'_>,
    kv_cache: Option<KvCacheConfig>,
    profile: Option<&Profile>,
    n_ranks: u32,
) -> EngineConfig {
    let (max_loras, max_cpu_loras) = lora::limits(reader);
    let limits = profile.map(|profile| &profile.engine);
    let of_profile = limits.and_then(|limits| limits.max_model_len).map(NonZeroU32::get);
    let max_model_len = reader.given(&MAX_MODEL_LEN).or(of_profile).unwrap_or_else(|| reader.read(&MAX_MODEL_LEN));
    let of_profile = limits.and_then(|limits| limits.max_num_seqs);
    let max_num_seqs = reader.given(&MAX_NUM_SEQS).or(of_profile).unwrap_or_else(|| reader.read(&MAX_NUM_SEQS));
    EngineConfig {
        max_model_len,
        max_num_seqs,
        max_waiting_queue_length: reader.read(&MAX_WAITING_QUEUE_LENGTH),
        priorities_count: reader.read(&SCHEDULING_POLICY),
        max_loras,
        max_cpu_loras,
        kv_cache,
        steps: steps::read(reader, profile, max_num_seqs, max_model_len, n_ranks),
        seed: reader.given(&SEED).unwrap_or_else(time_as_seed),
    }
}

fn max_model_len(value: &Value) -> Result<u32, String> {
    match values::any_text(value)?.to_lowercase().as_str() {
        "auto" | "-1" => Ok(AUTOMATIC_MAX_MODEL_LEN),
        _ => values::token_count(value),
    }
}

fn has_priorities(value: &Value) -> Result<bool, String> {
    match values::any_text(value)?.as_str() {
        "fcfs" => Ok(false),
        "priority" => Ok(true),
        _ => Err("expected fcfs or priority".into()),
    }
}

fn time_as_seed() -> u64 {
    // 64 bits of nanoseconds last until 2554.
    since_1970().as_nanos() as u64
}
