//! `rehearsal`: arguments, logs, configuration, server, exit code.

use std::process::ExitCode;

use rehearsal_server::app::App;
use rehearsal_server::args::{self, Parsed};
use rehearsal_server::config::Config;
use rehearsal_server::{logs, serve};

/// The user asked for something that cannot be had.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let settings = match args::parse(args, |name| std::env::var(name).ok()) {
        Ok(Parsed::Run(settings)) => settings,
        Ok(Parsed::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(problems) => return refuse(&problems),
    };
    let config = match Config::new(&settings) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    logs::init(&config.log);
    let app = match App::new(&config).await {
        Ok(app) => app,
        Err(problems) => return refuse(&problems),
    };
    match serve::run(app, &config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rehearsal: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn refuse(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("rehearsal: {problem}");
    }
    ExitCode::from(USAGE)
}
