//! `rehearsal`: arguments, logs, configuration, server, exit code.

use std::io::Write;
use std::process::ExitCode;

use rehearsal_server::app::App;
use rehearsal_server::args::{self, Parsed};
use rehearsal_server::config::Config;
use rehearsal_server::plugin_tools::{self, Said};
use rehearsal_server::tokenizer::ServedTokenizer;
use rehearsal_server::{logs, serve};

/// The user asked for something that cannot be had.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    if args.get(1).is_some_and(|arg| arg == "plugin") {
        return match plugin_tools::run(&args[2..]).await {
            Ok(Said::Text(text)) => say(&text),
            Ok(Said::NoGood(report)) => {
                say(&report);
                ExitCode::FAILURE
            }
            Err(problems) => refuse(&problems),
        };
    }
    let settings = match args::parse(args, |name| std::env::var(name).ok()) {
        Ok(Parsed::Run(settings)) => settings,
        Ok(Parsed::Print(text)) => return say(&text),
        Err(problems) => return refuse(&problems),
    };
    let config = match Config::new(&settings) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    logs::init(&config.log);
    // All ranks share one: it knows nothing of requests.
    let served = match ServedTokenizer::load(&config.tokenizer, &config.model).await {
        Ok(served) => served,
        Err(problem) => return refuse(&[problem]),
    };
    let mut apps = Vec::new();
    for config in config.of_all_ranks() {
        match App::new(&config, served.clone()).await {
            Ok(app) => apps.push(app),
            // What is wrong with the first would be wrong with all.
            Err(problems) => return refuse(&problems),
        }
    }
    match serve::run(&config, apps).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rehearsal: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what was asked for. A reader that has seen enough, as `head` has, is no error.
fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn refuse(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("rehearsal: {problem}");
    }
    ExitCode::from(USAGE)
}
