//! Commands beside serving: each is told by the first argument, says something, and ends.

mod check;
mod completions;
mod health;

use crate::plugin_tools;

/// What a command has to say.
#[derive(Debug)]
pub enum Said {
    /// For standard output.
    Text(String),
    /// For standard output too, but what was judged is no good.
    NoGood(String),
}

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
        _ => None,
    }
}

/// What clap says of arguments: the help, or what is wrong with them.
pub(crate) fn parsed<T: clap::Parser>(name: &'static str, args: &[String]) -> Result<T, Result<Said, Vec<String>>> {
    let args = std::iter::once(name).chain(args.iter().map(String::as_str));
    T::try_parse_from(args).map_err(|error| {
        if error.use_stderr() {
            Err(vec![error.to_string().trim_start_matches("error: ").trim_end().to_owned()])
        } else {
            Ok(Said::Text(error.to_string()))
        }
    })
}
