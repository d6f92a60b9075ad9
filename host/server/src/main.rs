//! `rehearsal`: arguments, logs, configuration, addresses, server, exit code.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;

use rehearsal_plugin_host::PluginHost;
use rehearsal_server::args::{self, Parsed};
use rehearsal_server::commands;
use rehearsal_server::config::{Config, Settings};
use rehearsal_server::process::listen::Bound;
use rehearsal_server::process::serve::{self, Built, Front};
use rehearsal_server::process::signals::StopSignals;
use rehearsal_server::prompts::tokenizer::ServedTokenizer;
use rehearsal_server::replica::{self, Replica};
use rehearsal_server::said::Said;
use rehearsal_server::telemetry::logs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The user asked for something that cannot be had.
const USAGE: u8 = 2;

/// Large texts and bodies are worked on beside the threads that serve: as many at once as there are cores, and at least this many. A
/// thread has a heap of its own, so that without a bound a burst of them would leave the memory of a hundred threads behind.
const LEAST_ASIDE: usize = 4;

fn main() -> ExitCode {
    let n_cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    match runtime.enable_all().max_blocking_threads(n_cores.max(LEAST_ASIDE)).build() {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => fail(&anyhow::Error::new(error).context("cannot start the threads that serve")),
    }
}

/// What the arguments say.
async fn run() -> ExitCode {
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let env =
        || std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    if let Some(said) = commands::run(&args, env).await {
        return match said {
            Ok(Said::Text(text)) => say(&text, ExitCode::SUCCESS),
            Ok(Said::NoGood(report)) => say(&report, ExitCode::FAILURE),
            Err(problems) => refuse(&problems),
        };
    }
    let understood = args::parse(args, env()).and_then(|parsed| match parsed {
        Parsed::Print(text) => Ok(Err(text)),
        Parsed::PrintConfig(settings) => Config::new(&settings).map(|_| Err(args::yaml(&settings))),
        Parsed::Run(settings) => Config::new(&settings).map(|config| Ok((settings, config))),
    });
    match understood {
        Ok(Ok((settings, config))) => start(&settings, &config).await,
        Ok(Err(text)) => say(&text, ExitCode::SUCCESS),
        Err(problems) => refuse(&problems),
    }
}

/// Builds every rank and serves, until a signal ends it.
async fn start(settings: &Settings, config: &Config) -> ExitCode {
    let mut signals = match StopSignals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    let logs = match logs::init(&config.log) {
        Ok(guard) => guard,
        Err(problem) => return refuse(&[problem]),
    };
    settings.notes().chain(config.warnings.iter().cloned()).for_each(|note| tracing::warn!("{note}"));
    let mut ranks = Vec::new();
    for config in config.of_all_ranks() {
        match Bound::new(&config.serving.address) {
            Ok(bound) => ranks.push((config, bound)),
            Err(error) => return fail(&error),
        }
    }
    let built = tokio::select! {
        built = build(config, ranks) => built,
        signal = signals.next() => {
            tracing::info!(signal, "stopping before the start");
            return ExitCode::SUCCESS;
        }
    };
    let ended = match built {
        Err(problems) => Err(problems),
        Ok((front, plugins, servers)) => Ok(serve::run(config, front, plugins, servers, signals).await),
    };
    // What was logged stands before what is said of the end.
    drop(logs);
    match ended {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(&error),
        Err(problems) => refuse(&problems),
    }
}

/// Everything that answers, behind addresses that are taken. Fails with what stops the start.
async fn build(
    config: &Config,
    ranks: Vec<(Config, Bound)>,
) -> Result<(Front, Arc<PluginHost>, Vec<Built>), Vec<String>> {
    let front = Front::new(config).map_err(|problem| vec![problem])?;
    // All ranks share one tokenizer, which knows nothing of requests, and what plugins are made of.
    let clock = config.clock.start();
    let served = ServedTokenizer::load(&config.tokenizer, &config.chat_template, &config.model.name, &clock);
    let served = served.await.map_err(|problem| vec![problem])?;
    let plugins = replica::load_plugins(config, &served).await?;
    let mut servers = Vec::new();
    for (config, bound) in ranks {
        // What is wrong with the first would be wrong with all.
        let replica = Replica::new(&config, &clock, served.clone(), &plugins).await?;
        servers.push(Built { bound, replica: Arc::new(replica) });
    }
    Ok((front, plugins, servers))
}

/// Prints what was asked for. A reader that has seen enough, as `head` has, is no error.
fn say(text: &str, code: ExitCode) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => fail(&error.into()),
        _ => code,
    }
}

fn refuse(problems: &[String]) -> ExitCode {
    problems.iter().for_each(complain);
    ExitCode::from(USAGE)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    complain(format!("{error:#}"));
    ExitCode::FAILURE
}

/// If standard error is closed, the exit code has to do. Of a problem that repeats a long value, the beginning and the end
/// are enough.
fn complain(problem: impl Display) {
    const ENDS: usize = 500;
    let problem = problem.to_string();
    let (head, tail) =
        (problem.floor_char_boundary(ENDS), problem.ceil_char_boundary(problem.len().saturating_sub(ENDS)));
    let _ = match problem.get(head..tail) {
        Some(middle) if middle.len() > ENDS => {
            writeln!(std::io::stderr(), "rehearsal: {} … {}", &problem[..head], &problem[tail..])
        }
        _ => writeln!(std::io::stderr(), "rehearsal: {problem}"),
    };
}
