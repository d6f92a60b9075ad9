//! `rehearsal`: arguments, logs, configuration, addresses, server, exit code.

use std::io::Write;
use std::process::ExitCode;

use rehearsal_server::app::App;
use rehearsal_server::args::{self, Parsed, Settings};
use rehearsal_server::commands::{self, Said};
use rehearsal_server::config::Config;
use rehearsal_server::listen::Bound;
use rehearsal_server::logs;
use rehearsal_server::serve::{self, Built, Front};
use rehearsal_server::tokenizer::ServedTokenizer;

/// The user asked for something that cannot be had.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
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
        Parsed::PrintConfig(settings) => Config::new(&settings).map(|_| Err(settings.yaml())),
        Parsed::Run(settings) => Config::new(&settings).map(|config| Ok((settings, config))),
    });
    match understood {
        Ok(Ok((settings, config))) => match start(&settings, &config).await {
            Ok(code) => code,
            Err(problems) => refuse(&problems),
        },
        Ok(Err(text)) => say(&text, ExitCode::SUCCESS),
        Err(problems) => refuse(&problems),
    }
}

/// Builds every rank and serves. Fails with what stops the start.
async fn start(settings: &Settings, config: &Config) -> Result<ExitCode, Vec<String>> {
    let _logs = logs::init(&config.log).map_err(|problem| vec![problem])?;
    settings.tell();
    config.tell();
    let front = Front::new(config).map_err(|problem| vec![problem])?;
    let mut ranks = Vec::new();
    for config in config.of_all_ranks() {
        match Bound::new(&config.serving.address) {
            Ok(bound) => ranks.push((config, bound)),
            Err(error) => return Ok(fail(&error)),
        }
    }
    // All ranks share one: it knows nothing of requests.
    let served = ServedTokenizer::load(&config.tokenizer, &config.chat_template, &config.model.name);
    let served = served.await.map_err(|problem| vec![problem])?;
    let mut servers = Vec::new();
    for (config, bound) in ranks {
        // What is wrong with the first would be wrong with all.
        servers.push(Built { bound, app: App::new(&config, served.clone()).await? });
    }
    Ok(match serve::run(config, front, servers).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    })
}

/// Prints what was asked for. A reader that has seen enough, as `head` has, is no error.
fn say(text: &str, code: ExitCode) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    code
}

fn refuse(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("rehearsal: {problem}");
    }
    ExitCode::from(USAGE)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("rehearsal: {error:#}");
    ExitCode::FAILURE
}
