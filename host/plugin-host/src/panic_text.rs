//! The text of a guest's panic. wasmtime sees only an `unreachable`; what was wrong stands on the guest's stderr.

use wasmtime::{Error, Trap};
use wasmtime_wasi::I32Exit;

/// What to tell a user about a call that ended in `error`, given what the guest printed last.
pub(crate) fn describe(error: &Error, printed: &str) -> String {
    if let Some(panic) = panic(printed) {
        return panic;
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return format!("it exited with status {code}");
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    }
}

/// `panicked at src/lib.rs:14:24: guest says no`. Rust prints the place and the message on two lines, and a note below.
fn panic(printed: &str) -> Option<String> {
    let start = printed.rfind("panicked at ")?;
    let text = &printed[start..];
    let text = text.split("\nnote: ").next().unwrap_or(text);
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panics_place_and_message_become_one_line() {
        let printed = "earlier line\n\nthread 'main' (1) panicked at src/lib.rs:14:24:\nguest says no\nnote: run with `RUST_BACKTRACE=1`";
        assert_eq!(
            describe(&Trap::UnreachableCodeReached.into(), printed),
            "panicked at src/lib.rs:14:24: guest says no"
        );
    }

    #[test]
    fn other_ends_say_what_they_are() {
        assert_eq!(describe(&Trap::IntegerDivisionByZero.into(), "chatter"), "wasm trap: integer divide by zero");
        assert_eq!(describe(&I32Exit(3).into(), ""), "it exited with status 3");
    }
}
