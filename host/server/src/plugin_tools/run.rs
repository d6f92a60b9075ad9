//! `plugin run`: requests through everything but the socket, so that what is printed is what a client would get.

use std::path::{Path, PathBuf};

use rehearsal_plugin_host::{Limits, Needs, PluginStatus, quoted};
use serde_json::Value;

use super::in_process::{Answer, InProcess, MODEL};
use super::{Given, state};
use crate::progress;
use crate::said::Said;

/// Arguments of `plugin run`.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    given: Given,
    /// Body of a chat or text completion or of embeddings, as a client would send it; of several, each is sent when the one before
    /// is answered
    #[arg(short, long, value_name = "FILE", required = true)]
    request: Vec<PathBuf>,
    /// A request header, name:value
    #[arg(long, value_name = "NAME:VALUE", value_parser = header)]
    header: Vec<(String, String)>,
}

impl Run {
    /// What the plugin answers, and no good if it broke over it.
    pub(super) async fn run(&self) -> Result<Said, Vec<String>> {
        let bodies = self.request.iter().map(|file| body(file)).collect::<Result<Vec<_>, _>>()?;
        let spec = self.given.spec()?;
        let model = bodies.first().and_then(|(json, _)| json["model"].as_str()).unwrap_or(MODEL);
        let waiting = progress::spinner("compiling");
        let server = InProcess::start(&spec, model, std::iter::empty(), true).await?;
        self.given.restore(&server.replica.plugins)?;
        waiting.finish_and_clear();

        let mut report = String::new();
        for (json, body) in bodies {
            let headers = self.header.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let answer = server.answer(&json, body, headers).await.map_err(|problem| vec![problem])?;
            report += &told(&answer, &spec.limits, &server.status());
        }
        report += &self.not_handed_over(&server.needs);
        if let Some(file) = &self.given.with.state {
            state::keep(file, &server.replica.plugins, &spec.name)?;
        }
        let has_failed = server.status().last_call_error.is_some();
        Ok(if has_failed { Said::NoGood(report) } else { Said::Text(report) })
    }

    /// Headers that the plugin does not see, because it does not say that it needs them.
    fn not_handed_over(&self, needs: &Needs) -> String {
        let names = self.header.iter().map(|(name, _)| name.to_lowercase());
        let unseen = names.filter(|name| !needs.wants_header(name));
        unseen.map(|name| format!("not handed over  {name}: its needs do not have \"header:{name}\"\n")).collect()
    }
}

fn header(pair: &str) -> Result<(String, String), String> {
    let (name, value) = pair.split_once(':').ok_or("it is not NAME:VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A request's body, read and as it came.
fn body(file: &Path) -> Result<(Value, String), Vec<String>> {
    let body =
        std::fs::read_to_string(file).map_err(|error| vec![format!("cannot read {}: {error}", file.display())])?;
    let json = serde_json::from_str(&body).map_err(|error| vec![format!("{} is not JSON: {error}", file.display())])?;
    Ok((json, body))
}

/// One request's answer, and what it took.
fn told(answer: &Answer, limits: &Limits, mine: &PluginStatus) -> String {
    let broken = answer.broken.as_ref().map(|error| format!("the connection would have ended here: {error}\n"));
    let text = pretty(&answer.body) + &broken.unwrap_or_default();
    format!("{text}\n{}", summary(limits, answer, &text, mine))
}

/// What the call took, each against its limit.
fn summary(limits: &Limits, answer: &Answer, text: &str, mine: &PluginStatus) -> String {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let mut lines = vec![format!("status         {}", answer.status.as_u16())];
    if let Some(tokens) = json["usage"]["completion_tokens"].as_u64() {
        lines.push(format!("output         {tokens} tokens"));
    }
    if let Some(reason) = json["choices"][0]["finish_reason"].as_str() {
        lines.push(format!("finish reason  {reason}"));
    }
    let (cpu, wall) = (millis(limits.cpu), millis(limits.wall));
    lines.push(format!("time           {:.2} ms of {wall:.0} ms, {cpu:.0} ms of them running", millis(answer.took)));
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
