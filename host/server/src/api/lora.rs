//! `POST /v1/load_lora_adapter` and `/v1/unload_lora_adapter`. vLLM has them only if it is told to; we always do.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use tracing::info;

use crate::replica::Replica;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;
use crate::wire::json;
use crate::wire::schema::{self, Field, INTEGER, Kind, TEXT, field, nullable, required};

/// Bytes of an adapter's name, and of its path.
const MOST_NAME: usize = 512;
const MOST_PATH: usize = 4096;

/// The body of the one.
pub const LOAD: &[Field] = &[
    required("lora_name", TEXT),
    required("lora_path", TEXT),
    field("load_inplace", Kind::Switch),
    field("is_3d_lora_weight", Kind::Switch),
];

/// The body of the other.
pub const UNLOAD: &[Field] = &[required("lora_name", TEXT), nullable("lora_int_id", INTEGER)];

/// Makes an adapter known. Its path is repeated by `/v1/models` and never opened.
pub async fn load(State(replica): State<Arc<Replica>>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let object = json::object(&headers, &body)?;
    schema::check(&object, LOAD, &replica.limits).or_ok()?;
    let fields = Fields(&object);
    let text = |name| fields.text(name).unwrap_or_default();
    let (name, path, in_place) = (text("lora_name"), text("lora_path"), fields.switch("load_inplace"));
    if name.is_empty() || path.is_empty() {
        return Err(ApiError::invalid_user_input("lora_name and lora_path must both be given and not be empty."));
    }
    for (field, given, most) in [("lora_name", name, MOST_NAME), ("lora_path", path, MOST_PATH)] {
        if given.len() > most {
            let n_bytes = given.len();
            return Err(ApiError::invalid_user_input(format!("{field} has {n_bytes} bytes, at most {most} are kept.")));
        }
    }
    if replica.model.served_names.iter().any(|served| served == name) {
        return Err(ApiError::invalid_user_input(format!("The lora adapter '{name}' conflicts with a served model.")));
    }
    replica.adapters.load(name.to_owned(), path.to_owned(), None, in_place).map_err(ApiError::invalid_user_input)?;
    info!(adapter = name, path, "adapter added");
    Ok(plain(format!("Success: LoRA adapter '{name}' added successfully.")))
}

/// Makes an adapter unknown. Requests that have it go on.
pub async fn unload(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let object = json::object(&headers, &body)?;
    schema::check(&object, UNLOAD, &replica.limits).or_ok()?;
    let name = Fields(&object).text("lora_name").unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::invalid_user_input("lora_name must be given to unload an adapter."));
    }
    if !replica.adapters.unload(name) {
        return Err(ApiError::UnknownAdapter { name: name.to_owned() });
    }
    info!(adapter = name, "adapter removed");
    Ok(plain(format!("Success: LoRA adapter '{name}' removed successfully.")))
}

/// Text without a media type, as vLLM answers here.
fn plain(text: String) -> Response {
    Response::new(Body::from(text))
}
