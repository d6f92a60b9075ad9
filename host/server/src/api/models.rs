//! `GET /v1/models`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::replica::Replica;

/// One card for each served name, and one for each adapter.
pub async fn list(State(replica): State<Arc<Replica>>) -> Json<ModelList> {
    let created = replica.clock.unix_time().as_secs();
    let card = |id: String, root: String, parent: Option<String>, max_model_len: Option<u32>| ModelCard {
        id,
        object: "model",
        created,
        owned_by: "vllm",
        root,
        parent,
        max_model_len,
        permission: [Permission::new(replica.next_id(), created)],
    };
    let max_model_len = replica.engine.config().max_model_len;
    let names = replica.model.served_names.iter();
    let models = names.map(|name| card(name.clone(), replica.model.name.clone(), None, Some(max_model_len)));
    let adapters = replica.adapters.all();
    let adapters = adapters.iter().map(|adapter| {
        let parent = adapter.base_model.clone().unwrap_or_else(|| replica.reported_model().to_owned());
        card(adapter.name.clone(), adapter.path.clone(), Some(parent), None)
    });
    Json(ModelList { object: "list", data: models.chain(adapters).collect() })
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct ModelList {
    object: &'static str,
    data: Vec<ModelCard>,
}

#[derive(Debug, Serialize)]
struct ModelCard {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    root: String,
    parent: Option<String>,
    max_model_len: Option<u32>,
    permission: [Permission; 1],
}

#[derive(Debug, Serialize)]
struct Permission {
    id: String,
    object: &'static str,
    created: u64,
    allow_create_engine: bool,
    allow_sampling: bool,
    allow_logprobs: bool,
    allow_search_indices: bool,
    allow_view: bool,
    allow_fine_tuning: bool,
    organization: &'static str,
    group: Option<String>,
    is_blocking: bool,
}

impl Permission {
    fn new(id: String, created: u64) -> Self {
        Self {
            id: format!("modelperm-{id}"),
            object: "model_permission",
            created,
            allow_create_engine: false,
            allow_sampling: true,
            allow_logprobs: true,
            allow_search_indices: false,
            allow_view: true,
            allow_fine_tuning: false,
            organization: "*",
            group: None,
            is_blocking: false,
        }
    }
}
