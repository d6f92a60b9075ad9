//! What a flag's or a key's name means.

use super::keys;
use crate::config::{self, Spec, Takes, accepted};
use crate::nearest::nearest;

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    /// One of our keys; `true`: it is negated.
    Key(&'static Spec, bool),
    /// It is accepted and means nothing here.
    WithoutEffect(Takes),
    /// It is known and refused, with what to do instead.
    Refused(&'static str),
}

/// Every key, in the order of the help.
pub fn specs() -> impl Iterator<Item = &'static Spec> {
    keys::SPECS.iter().chain(config::specs())
}

/// What `name`, without its dashes, stands for; exactly, never by prefix.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    let key = |name: &str| specs().find(|spec| spec.is_in_files() && spec.is_called(name));
    if let Some(spec) = key(name) {
        return Some(Meaning::Key(spec, false));
    }
    if let Some(what) = accepted::refused(name) {
        return Some(Meaning::Refused(what));
    }
    if let Some(takes) = accepted::takes(name) {
        return Some(Meaning::WithoutEffect(takes));
    }
    // vLLM's parser knows `--disable-x` for every `--enable-x`, and the other way round.
    let opposite = match (name.strip_prefix("enable-"), name.strip_prefix("disable-"), name.strip_prefix("no-")) {
        (Some(what), _, _) => format!("disable-{what}"),
        (_, Some(what), _) => format!("enable-{what}"),
        (_, _, Some(what)) => what.to_owned(),
        _ => return None,
    };
    match key(&opposite) {
        Some(spec) => (spec.takes == Takes::Switch).then_some(Meaning::Key(spec, true)),
        None => accepted::takes(&opposite).filter(|takes| *takes == Takes::Switch).map(Meaning::WithoutEffect),
    }
}

/// What `name` after one dash stands for: the whole name after two.
pub(super) fn long_name(short: &str) -> Option<&'static str> {
    let own = specs().find(|spec| spec.shorts.contains(&short)).map(|spec| spec.name);
    own.or_else(|| accepted::long_name(short))
}

/// `; did you mean --port?`, if there is a name that is spelled nearly so.
pub(super) fn suggestion(name: &str, prefix: &str) -> String {
    let own = specs().filter(|spec| spec.is_in_files());
    let own = own.flat_map(|spec| std::iter::once(spec.name).chain(spec.aliases.iter().copied()));
    nearest(name, own.chain(accepted::names()))
        .map(|near| format!("; did you mean {prefix}{near}?"))
        .unwrap_or_default()
}
