//! A server of one plugin inside this process: everything but the socket, so that what it answers is what a client would get.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use futures::StreamExt;
use rehearsal_plugin_host::{Interface, Needs, PluginSpec, PluginStatus, Plugins};
use serde_json::Value;
use tower::ServiceExt;

use crate::args::{self, Parsed};
use crate::config::Config;
use crate::process::real_time::Instant;
use crate::prompts::tokenizer::ServedTokenizer;
use crate::replica::{self, Replica};
use crate::routes;
use crate::telemetry::logs::{self, LogGuard};

/// The model that is served where no request names one.
pub(super) const MODEL: &str = "my-model";

/// The server, in which the plugin does all that it can.
pub(super) struct InProcess {
    pub(super) replica: Arc<Replica>,
    /// What the plugin alone wants to be sent.
    pub(super) needs: Arc<Needs>,
    name: String,
    /// Of what the plugin logs, if it is shown.
    _logs: Option<LogGuard>,
}

/// One answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The body, as far as it came.
    pub(super) body: Vec<u8>,
    /// Why the connection would have ended in the middle of it.
    pub(super) broken: Option<String>,
    /// Real time.
    pub(super) took: Duration,
}

impl InProcess {
    /// Starts it with further `flags`, as the command line has them. What the plugin logs is written to standard error if it
    /// `shows_logs`.
    pub(super) async fn start<'a>(
        spec: &'a PluginSpec,
        model: &'a str,
        flags: impl Iterator<Item = &'a str>,
        shows_logs: bool,
    ) -> Result<Self, Vec<String>> {
        let alone = super::load(vec![spec.clone()]).await.map_err(super::messages)?;
        let config = config(&alone, spec, model, flags)?;
        let logs = shows_logs.then(|| logs::init(&config.log)).transpose().map_err(|problem| vec![problem])?;
        let served = ServedTokenizer::builtin();
        let plugins = replica::load_plugins(&config, &served).await?;
        let replica = Arc::new(Replica::new(&config, &config.clock.start(), served, &plugins).await?);
        Ok(Self { replica, needs: alone.needs(), name: spec.name.clone(), _logs: logs })
    }

    /// How the plugin does.
    pub(super) fn status(&self) -> PluginStatus {
        let mut statuses = self.replica.plugins.statuses();
        statuses.find(|status| status.info.name == self.name).expect("it was loaded under this name")
    }

    /// Answers one body: of a chat if it has messages, of embeddings if it has input, and else of a text completion. Fails if a
    /// header's name or value cannot be one.
    pub(super) async fn answer<'a>(
        &self,
        body: &Value,
        text: String,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Answer, String> {
        let path = match body {
            Value::Object(body) if body.contains_key("messages") => "/v1/chat/completions",
            Value::Object(body) if body.contains_key("input") => "/v1/embeddings",
            _ => "/v1/completions",
        };
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(text)).map_err(|error| format!("header: {error}"))?;
        let start = Instant::now();
        let Ok(response) = routes::router(self.replica.clone(), routes::Origin::default()).oneshot(request).await;
        let status = response.status();
        let (mut stream, mut body, mut broken) = (response.into_body().into_data_stream(), Vec::new(), None);
        while let Some(part) = stream.next().await {
            match part {
                Ok(part) => body.extend_from_slice(&part),
                Err(error) => broken = Some(error.to_string()),
            }
        }
        Ok(Answer { status, body, broken, took: start.elapsed() })
    }
}

/// The flags by which a server uses the plugin for all that it can do.
pub(super) async fn flags_of(spec: &PluginSpec) -> Result<Vec<String>, Vec<String>> {
    let alone = super::load(vec![spec.clone()]).await.map_err(super::messages)?;
    Ok(uses(&alone, &spec.name).map(str::to_owned).collect())
}

fn uses<'a>(alone: &Plugins, name: &'a str) -> impl Iterator<Item = &'a str> {
    let flags = [
        (Interface::Generator, "--mode"),
        (Interface::ToolCaller, "--tool-plugin"),
        (Interface::FailureSelector, "--failure-plugin"),
        (Interface::Embedder, "--embedding-plugin"),
    ];
    let is_used = |interface| alone.exporting(interface).next().is_some();
    let used: Vec<_> = flags.into_iter().filter(|(interface, _)| is_used(*interface)).collect();
    used.into_iter().flat_map(move |(_, flag)| [flag, name])
}

fn config<'a>(
    alone: &Plugins,
    spec: &'a PluginSpec,
    model: &'a str,
    flags: impl Iterator<Item = &'a str>,
) -> Result<Config, Vec<String>> {
    let mut args = vec!["rehearsal", "--model", model, "--max-model-len", "128k", "--seed", "1"];
    args.extend([
        "--log-level",
        "warn,rehearsal_plugin_host::host_functions=trace,rehearsal_plugin_host::call=debug,rehearsal_plugin_host::fault_log=off",
    ]);
    args.extend(uses(alone, &spec.name));
    let args = args.into_iter().chain(flags).map(str::to_owned);
    let mut config = match args::parse(args, [])? {
        Parsed::Run(settings) | Parsed::PrintConfig(settings) => Config::new(&settings)?,
        Parsed::Print(text) => return Err(vec![text]),
    };
    config.plugins.retain(|plugin| plugin.name != spec.name);
    config.plugins.push(spec.clone());
    Ok(config)
}
