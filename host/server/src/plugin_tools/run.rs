//! `plugin run`: one request through everything but the socket, so that what is printed is what a client would get.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use rehearsal_plugin_host::{Interface, Limits, Needs, PluginSpec, PluginStatus, Plugins, quoted};
use serde_json::Value;
use tower::ServiceExt;

use super::{Given, progress, state};
use crate::args::{self, Parsed};
use crate::config::Config;
use crate::process::real_time::Instant;
use crate::prompts::tokenizer::ServedTokenizer;
use crate::replica::{self, Replica};
use crate::routes;
use crate::said::Said;
use crate::telemetry::logs;

/// Arguments of `plugin run`.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    given: Given,
    /// Body of a chat or text completion, as a client would send it; of several, each is sent when the one before is answered
    #[arg(short, long, value_name = "FILE", required = true)]
    request: Vec<PathBuf>,
    /// A request header, name:value
    #[arg(long, value_name = "NAME:VALUE")]
    header: Vec<String>,
}

impl Run {
    /// What the plugin answers, and no good if it broke over it.
    pub(super) async fn run(&self) -> Result<Said, Vec<String>> {
        let bodies = self.request.iter().map(|file| body(file)).collect::<Result<Vec<_>, _>>()?;
        let spec = self.given.spec();
        let alone = super::load(vec![spec.clone()]).await.map_err(super::messages)?;
        let model = bodies.first().and_then(|(json, _)| json["model"].as_str()).unwrap_or("my-model");
        let config = server_config(&alone, &spec, model)?;
        let _logs = logs::init(&config.log).map_err(|problem| vec![problem])?;
        let waiting = progress::spinner("compiling");
        let served = ServedTokenizer::builtin();
        let plugins = replica::load_plugins(&config, &served).await?;
        let replica = Arc::new(Replica::new(&config, &config.clock.start(), served, &plugins).await?);
        self.given.restore(&replica.plugins)?;
        waiting.finish_and_clear();

        let mut report = String::new();
        for (json, body) in bodies {
            report += &self.answer(&replica, &spec, &json, body).await?;
        }
        report += &self.not_handed_over(&alone.needs());
        if let Some(file) = &self.given.state {
            state::keep(file, &replica.plugins, &spec.name)?;
        }
        let has_failed = status(&replica, &spec)?.last_call_error.is_some();
        Ok(if has_failed { Said::NoGood(report) } else { Said::Text(report) })
    }

    /// One request's answer, and what it took.
    async fn answer(
        &self,
        replica: &Arc<Replica>,
        spec: &PluginSpec,
        json: &Value,
        body: String,
    ) -> Result<String, Vec<String>> {
        let path = if json.get("messages").is_some() { "/v1/chat/completions" } else { "/v1/completions" };
        let request = self.request(path, body)?;
        let start = Instant::now();
        let Ok(response) = routes::router(replica.clone(), routes::Origin::default()).oneshot(request).await;
        let answered = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await;
        let took = start.elapsed();
        let answer = match &body {
            Ok(bytes) => pretty(bytes),
            Err(error) => format!("the connection would have ended in the middle of the body: {error}\n"),
        };
        Ok(format!("{answer}\n{}", summary(&spec.limits, answered, took, &answer, &status(replica, spec)?)))
    }

    /// Headers that the plugin does not see, because it does not say that it needs them.
    fn not_handed_over(&self, needs: &Needs) -> String {
        let names = self.header.iter().filter_map(|pair| Some(pair.split_once(':')?.0.trim().to_lowercase()));
        let unseen = names.filter(|name| !needs.wants_header(name));
        unseen.map(|name| format!("not handed over  {name}: its needs do not have \"header:{name}\"\n")).collect()
    }

    fn request(&self, path: &str, body: String) -> Result<Request<Body>, Vec<String>> {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        for pair in &self.header {
            let (name, value) = pair.split_once(':').ok_or_else(|| vec![format!("{pair:?} is not NAME:VALUE")])?;
            request = request.header(name.trim(), value.trim());
        }
        request.body(Body::from(body)).map_err(|error| vec![format!("header: {error}")])
    }
}

/// A request's body, read and as it came.
fn body(file: &Path) -> Result<(Value, String), Vec<String>> {
    let body =
        std::fs::read_to_string(file).map_err(|error| vec![format!("cannot read {}: {error}", file.display())])?;
    let json = serde_json::from_str(&body).map_err(|error| vec![format!("{} is not JSON: {error}", file.display())])?;
    Ok((json, body))
}

/// How the plugin does.
fn status(replica: &Replica, spec: &PluginSpec) -> Result<PluginStatus, Vec<String>> {
    replica.plugins.statuses().find(|status| status.info.name == spec.name).ok_or_else(Vec::new)
}

/// The server's configuration in which the plugin does all that it can.
fn server_config(alone: &Plugins, spec: &PluginSpec, model: &str) -> Result<Config, Vec<String>> {
    let mut args = vec!["rehearsal", "--model", model, "--max-model-len", "128k", "--seed", "1"];
    args.extend([
        "--log-level",
        "warn,rehearsal_plugin_host::host_functions=trace,rehearsal_plugin_host::call=debug,rehearsal_plugin_host::fault_log=off",
    ]);
    for (interface, flag) in [
        (Interface::Generator, "--mode"),
        (Interface::ToolCaller, "--tool-plugin"),
        (Interface::FailureSelector, "--failure-plugin"),
    ] {
        if alone.exporting(interface).next().is_some() {
            args.extend([flag, &spec.name]);
        }
    }
    let args = args.into_iter().map(str::to_owned);
    let mut config = match args::parse(args, [])? {
        Parsed::Run(settings) | Parsed::PrintConfig(settings) => Config::new(&settings)?,
        Parsed::Print(text) => return Err(vec![text]),
    };
    config.plugins.retain(|plugin| plugin.name != spec.name);
    config.plugins.push(spec.clone());
    Ok(config)
}

/// What the call took, each against its limit.
fn summary(limits: &Limits, status: StatusCode, took: Duration, answer: &str, mine: &PluginStatus) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let mut lines = vec![format!("status         {}", status.as_u16())];
    if let Some(tokens) = answer["usage"]["completion_tokens"].as_u64() {
        lines.push(format!("output         {tokens} tokens"));
    }
    if let Some(reason) = answer["choices"][0]["finish_reason"].as_str() {
        lines.push(format!("finish reason  {reason}"));
    }
    let (cpu, wall) = (millis(limits.cpu), millis(limits.wall));
    lines.push(format!("time           {:.2} ms of {wall:.0} ms, {cpu:.0} ms of them running", millis(took)));
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    lines.push(format!("memory         {:.1} MiB of {:.0} MiB", mib(mine.peak_memory), mib(limits.memory)));
    if let Some(error) = &mine.last_call_error {
        lines.push(format!("failed         {}{}", error.message, quoted("in that call", &error.said)));
    }
    lines.join("\n") + "\n"
}

/// JSON over several lines; anything else, a stream for example, as it is.
fn pretty(bytes: &[u8]) -> String {
    let json = serde_json::from_slice::<Value>(bytes).and_then(|json| serde_json::to_string_pretty(&json));
    json.unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned()) + "\n"
}
