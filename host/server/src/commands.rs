//! Commands beside serving: each is told by the first argument, says something, and ends.

mod calibrate;
mod check;
mod completions;
mod files;
mod fit;
mod health;
mod predict;
mod profile;
mod replay;
mod sent;
mod token_ids;

use crate::plugin_tools;
use crate::said::Said;

/// Runs the command that `args`, which begin with the program's name, name; or what is wrong with them. `None` if they
/// name none: then they are the server's. `env` is the environment.
pub async fn run<E: IntoIterator<Item = (String, String)>>(
    args: &[String],
    env: impl Fn() -> E,
) -> Option<Result<Said, Vec<String>>> {
    let rest = args.get(2..).unwrap_or_default();
    match args.get(1)?.as_str() {
        "plugin" => Some(plugin_tools::run(rest).await),
        "check" => Some(check::run(rest, env()).await),
        "completions" => Some(completions::run(rest)),
        "health" => Some(health::run(rest).await),
        "profile" => Some(profile::run(rest)),
        "fit" => Some(fit::run(rest)),
        "calibrate" => Some(calibrate::run(rest).await),
        "replay" => Some(replay::run(rest).await),
        "predict" => Some(predict::run(rest)),
        _ => None,
    }
}
