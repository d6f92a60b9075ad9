//! What a command that is not the server has to say, and what clap says of its arguments.

/// What a command has to say.
#[derive(Debug)]
pub enum Said {
    /// For standard output.
    Text(String),
    /// For standard output too, but what was judged is no good.
    NoGood(String),
}

/// The arguments of the command `name`; or what to say instead: the help, or what is wrong with them.
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
