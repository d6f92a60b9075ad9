//! `plugin bench`: what one call costs the machine.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use cpu_time::ProcessTime;
use rehearsal_engine::request::{Message, Tool, ToolChoice};
use rehearsal_engine::{
    Arrival, Choice, EmbeddingRequest, EmbeddingStrategy, Endpoint, FailurePolicy, GenerationRequest, Prompt,
    PromptContent, ResponseStrategy, StrategyError, ToolCallStrategy,
};
use rehearsal_plugin_host::{Limits, PluginSpec, Plugins};

use super::{Given, load, messages};
use crate::process::real_time::Instant;
use crate::progress;

/// Calls that one instance serves where a plugin is measured without the cost of instances.
const REUSED: u32 = 10_000;

/// Parts that the time is cut into; the median of them is what is told.
const ROUNDS: usize = 20;

/// Bytes of the prompt, and most tokens of the answer.
const PROMPT_BYTES: usize = 4096;
const MAX_TOKENS: u32 = 100;

/// Arguments of `plugin bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    #[command(flatten)]
    given: Given,
    /// How long to measure, for fresh instances and again for one that serves many calls
    #[arg(long, default_value_t = 2)]
    seconds: u64,
}

impl Bench {
    pub(super) async fn run(&self) -> Result<String, Vec<String>> {
        let mut report = format!("a prompt of {PROMPT_BYTES} bytes, an answer of at most {MAX_TOKENS} tokens\n");
        if cfg!(debug_assertions) {
            report += "this is a debug build: a release build is faster\n";
        }
        for (how, reuse) in [("fresh instance", 1), ("reused instance", REUSED)] {
            let spec = self.given.spec()?;
            let spec = PluginSpec { limits: Limits { reuse, ..spec.limits }, ..spec };
            let name = spec.name.clone();
            let host = load(vec![spec]).await.map_err(messages)?;
            self.given.restore(&host)?;
            for call in Measured::all(&host, &name) {
                let figures = self.measure(&call).await.map_err(|error| vec![error.to_string()])?;
                // Writing to a string cannot fail.
                let _ = writeln!(report, "{:<16} {how:<15} {figures}", call.export());
            }
        }
        Ok(report)
    }

    async fn measure(&self, call: &Measured) -> Result<String, StrategyError> {
        for _ in 0..20 {
            call.once().await?;
        }
        let round = Duration::from_secs(self.seconds) / ROUNDS as u32;
        let bar = progress::steps("measuring", ROUNDS);
        let (mut walls, mut cpus) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (start, cpu, calls_before) = (Instant::now(), ProcessTime::now(), walls.len());
            while start.elapsed() < round || walls.len() == calls_before {
                let start = Instant::now();
                call.once().await?;
                walls.push(start.elapsed());
            }
            cpus.push(cpu.elapsed() / (walls.len() - calls_before) as u32);
            bar.inc(1);
        }
        bar.finish_and_clear();
        walls.sort();
        cpus.sort();
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let (cpu, p50, p99) = (cpus[ROUNDS / 2], walls[walls.len() / 2], walls[(walls.len() - 1) * 99 / 100]);
        let [cpu, least, p50, p99] = [cpu, cpus[0], p50, p99].map(us);
        let calls = walls.len();
        Ok(format!("{cpu:.1} µs CPU a call (least {least:.1}), p50 {p50:.1} µs, p99 {p99:.1} µs, {calls} calls"))
    }
}

/// What is measured.
enum Measured {
    Generate(Arc<dyn ResponseStrategy>, Choice),
    CallTools(Arc<dyn ToolCallStrategy>, Choice),
    Select(Arc<dyn FailurePolicy>, Arrival),
    Embed(Arc<dyn EmbeddingStrategy>, EmbeddingRequest),
}

impl Measured {
    /// One of each that the plugin can do.
    fn all(host: &Plugins, name: &str) -> Vec<Self> {
        let choice = choice();
        let arrival = choice.arrival();
        let generate = host.generator(name).map(|generator| Self::Generate(generator, choice.clone()));
        let call_tools = host.tool_caller(name).map(|tool_caller| Self::CallTools(tool_caller, choice));
        let select = host.failure_policy(name).map(|policy| Self::Select(policy, arrival));
        let embed = host.embedder(name).map(|embedder| Self::Embed(embedder, embedding()));
        [generate, call_tools, select, embed].into_iter().flatten().collect()
    }

    fn export(&self) -> &'static str {
        match self {
            Self::Generate(..) => "generate",
            Self::CallTools(..) => "call-tools",
            Self::Select(..) => "select",
            Self::Embed(..) => "embed",
        }
    }

    /// A rejection is an answer.
    async fn once(&self) -> Result<(), StrategyError> {
        let result = match self {
            Self::Generate(generator, choice) => generator.generate(choice).await.map(drop),
            Self::CallTools(tool_caller, choice) => tool_caller.call_tools(choice).await.map(drop),
            Self::Select(policy, arrival) => policy.select(arrival).await.map(drop),
            Self::Embed(embedder, request) => embedder.embed(request).await.map(drop),
        };
        match result {
            Err(error) if error.is_fault() => Err(error),
            _ => Ok(()),
        }
    }
}

fn embedding() -> EmbeddingRequest {
    EmbeddingRequest {
        request_id: "bench".into(),
        model: "bench".into(),
        inputs: vec![Prompt::encoded(PromptContent::Text("tea ".repeat(256)), (0..256).collect())],
        dimensions: 384,
        seed: 0,
        headers: Vec::new(),
    }
}

fn choice() -> Choice {
    let sentence = "It was late, and nobody had thought of the tea. ";
    let text: String = sentence.chars().cycle().take(PROMPT_BYTES).collect();
    let prompt = Prompt::counted(PromptContent::Chat(vec![Message::user(text)]), 1000);
    let mut request = GenerationRequest::new(Endpoint::ChatCompletions, prompt);
    request.sampling.max_tokens = Some(MAX_TOKENS);
    request.wishes.tool_choice = ToolChoice::Required;
    request.wishes.tools = vec![Tool {
        name: "weather".into(),
        description: None,
        parameters: r#"{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}"#.into(),
    }];
    Choice::new(Arc::new(request), "bench", MAX_TOKENS)
}
