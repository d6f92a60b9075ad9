//! Prefill and decode on different servers: what a router hands over, and what we answer so that it can hand it on.

use rehearsal_engine::seed::{self, Purpose};
use serde::Serialize;
use serde_json::{Value, json};

use crate::wire::fields::Fields;

/// Tokens of a made-up KV block.
const BLOCK_SIZE: u32 = 16;

/// A request's part in a transfer, and the form in which it said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Which leg of the way this is.
    pub leg: Leg,
    /// How the client speaks of it.
    pub form: Form,
}

/// Which leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// `do_remote_decode`: compute the KV cache here, decode elsewhere.
    Prefill,
    /// `do_remote_prefill`: the KV cache comes from elsewhere.
    Decode,
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// vLLM's object `kv_transfer_params`.
    KvTransferParams,
    /// Fields of the body itself, as the first routers sent them.
    TopLevel,
}

impl Transfer {
    /// Reads either form. Members may be of any JSON type: engines send numbers and nested lists in them, and only
    /// the two switches matter here.
    pub fn read(fields: Fields<'_>) -> Option<Self> {
        let is_true = |value: Option<&Value>| value == Some(&Value::Bool(true));
        let leg = |prefill: bool, decode: bool| match (prefill, decode) {
            (_, true) => Some(Leg::Decode),
            (true, false) => Some(Leg::Prefill),
            (false, false) => None,
        };
        if let Some(params) = fields.object("kv_transfer_params") {
            let leg = leg(is_true(params.get("do_remote_decode")), is_true(params.get("do_remote_prefill")))?;
            return Some(Self { leg, form: Form::KvTransferParams });
        }
        let leg = leg(is_true(fields.raw("do_remote_decode")), is_true(fields.raw("do_remote_prefill")))?;
        Some(Self { leg, form: Form::TopLevel })
    }
}

/// What a prefill answer carries: where the made-up KV cache can be fetched.
#[derive(Debug, Clone)]
pub struct PrefillResult {
    form: Form,
    engine_id: String,
    request_id: String,
    block_ids: Vec<u32>,
    host: String,
    port: u16,
    prompt_tokens: u32,
}

/// Where this server can be reached.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// Our address in the cluster.
    pub host: &'a str,
    /// Our port.
    pub port: u16,
    /// The server's seed: our engine id follows from it.
    pub seed: u64,
}

impl PrefillResult {
    /// What to answer to the prefill leg of `transfer`; nothing to any other request.
    pub fn new(transfer: Option<Transfer>, request_id: &str, prompt_tokens: u32, here: Here<'_>) -> Option<Self> {
        let transfer = transfer.filter(|transfer| transfer.leg == Leg::Prefill)?;
        let first = seed::derive(Purpose::Id, &[here.seed, prompt_tokens.into()]) as u32 % 10_000;
        Some(Self {
            form: transfer.form,
            engine_id: engine_id(here.seed),
            request_id: request_id.to_owned(),
            block_ids: (first..).take(prompt_tokens.div_ceil(BLOCK_SIZE) as usize).collect(),
            host: here.host.to_owned(),
            port: here.port,
            prompt_tokens,
        })
    }

    /// The value of `kv_transfer_params` in the answer, if that is the form; ready to be sent to the decode server.
    pub fn kv_transfer_params(&self) -> Option<Value> {
        (self.form == Form::KvTransferParams).then(|| {
            json!({
                "do_remote_prefill": true,
                "do_remote_decode": false,
                "remote_block_ids": [self.block_ids],
                "remote_engine_id": self.engine_id,
                "remote_request_id": self.request_id,
                "remote_host": self.host,
                "remote_port": self.port,
                "tp_size": 1,
                "dcp_size": 1,
                "pp_size": 1,
                "remote_num_tokens": self.prompt_tokens,
                // Nothing is kept, so nothing expires.
                "remote_blocks_expiry_time": null,
                "remote_registration_generation": null,
                "transfer_mode": null,
            })
        })
    }

    /// The fields of the answer itself, if that is the form.
    pub fn top_level(&self) -> Option<TopLevel> {
        (self.form == Form::TopLevel).then(|| TopLevel {
            do_remote_decode: true,
            do_remote_prefill: false,
            remote_block_ids: self.block_ids.iter().map(u32::to_string).collect(),
            remote_engine_id: self.engine_id.clone(),
            remote_host: self.host.clone(),
            remote_port: self.port,
        })
    }
}

/// The first routers' form of an answer.
#[derive(Debug, Clone, Serialize)]
pub struct TopLevel {
    do_remote_decode: bool,
    do_remote_prefill: bool,
    remote_block_ids: Vec<String>,
    remote_engine_id: String,
    remote_host: String,
    remote_port: u16,
}

impl TopLevel {
    /// The finish reason that goes with it.
    pub const FINISH_REASON: &'static str = "remote_decode";
}

/// Looks like the UUID that an engine gives itself.
fn engine_id(seed: u64) -> String {
    let (high, low) = (seed::derive(Purpose::Id, &[seed, 2]), seed::derive(Purpose::Id, &[seed, 3]));
    let id = format!("{high:016x}{low:016x}");
    format!("{}-{}-4{}-a{}-{}", &id[..8], &id[8..12], &id[13..16], &id[17..20], &id[20..])
}
