//! `GET /server_info`: what the engine was built with, as vLLM's developers see it; there only with
//! `VLLM_SERVER_DEV_MODE=1`. Of what vLLM tells of GPUs, libraries and the machine there is nothing to tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde_json::{Value, json};

use crate::replica::Replica;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;
use crate::wire::query;
use crate::wire::schema::{Field, Kind, field};

/// The query.
pub const QUERY: &[Field] = &[field("config_format", Kind::Words(&["text", "json"]))];

/// As one text, or as an object of vLLM's parts.
pub async fn get(
    State(replica): State<Arc<Replica>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, ApiError> {
    let given = query::read(pairs, QUERY, &replica.limits)?;
    let config = match Fields(&given).text("config_format") {
        Some("json") => as_object(&replica),
        _ => as_text(&replica).into(),
    };
    // No secrets.
    let is_secret = |name: &str| name.contains("KEY") || name.contains("TOKEN");
    let is_shown = |name: &str| name.starts_with("VLLM_") && !is_secret(name);
    let variables: BTreeMap<_, _> = std::env::vars().filter(|(name, _)| is_shown(name)).collect();
    Ok(Json(json!({ "vllm_config": config, "vllm_env": variables, "system_env": {} })))
}

fn as_text(replica: &Replica) -> String {
    let engine = replica.engine.config();
    let (model, served, length) = (&replica.model.name, replica.reported_model(), engine.max_model_len);
    let reuses_prefixes = if engine.reuses_prefixes() { "True" } else { "False" };
    format!(
        "model='{model}', speculative_config=None, tokenizer='{model}', max_seq_len={length}, tensor_parallel_size=1, \
         pipeline_parallel_size=1, data_parallel_size=1, seed={}, served_model_name={served}, \
         enable_prefix_caching={reuses_prefixes}",
        engine.seed
    )
}

fn as_object(replica: &Replica) -> Value {
    let engine = replica.engine.config();
    let cache = engine.kv_cache.as_ref();
    json!({
        "model_config": {
            "model": replica.model.name,
            "served_model_name": replica.model.served_names,
            "max_model_len": engine.max_model_len,
            "seed": engine.seed,
        },
        "cache_config": {
            "block_size": cache.map(|cache| cache.block_size),
            "num_gpu_blocks": cache.map(|cache| cache.n_blocks),
            "enable_prefix_caching": engine.reuses_prefixes(),
        },
        "scheduler_config": { "max_num_seqs": engine.max_num_seqs },
        "lora_config": { "max_loras": engine.max_loras, "max_cpu_loras": engine.max_cpu_loras },
    })
}
