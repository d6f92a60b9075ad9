//! What was wrong when a guest crashed, in one line. wasmtime sees only an `unreachable`; the rest stands in what the guest printed,
//! as each language's runtime prints it.

use wasmtime::{Error, Trap};
use wasmtime_wasi::I32Exit;

/// What to tell a user about a call that ended in `error`, given what the guest printed last.
pub(crate) fn describe(error: &Error, printed: &str) -> String {
    if let Some(text) = python(printed).or_else(|| javascript(printed)).or_else(|| panic(printed)) {
        return text;
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
    Some(one_line(text))
}

/// `KeyError: 'missing' at dice.py:20 in roll`: the exception and the innermost of its places, which come before it. What
/// componentize-py cannot convert is an exception without a place, inside a panic of its own.
fn python(printed: &str) -> Option<String> {
    let unplaced = printed.rsplit_once("PyErr { type: <class '");
    if let Some((_, traceback)) = printed.rsplit_once("Traceback (most recent call last):\n")
        // One that was printed and caught may come before.
        && unplaced.is_none_or(|(_, error)| traceback.len() < error.len())
    {
        let is_place = |line: &&str| line.starts_with("  ");
        let exception = traceback.lines().find(|line| !line.starts_with(' '))?;
        let place = traceback.lines().take_while(is_place).filter_map(python_place).last();
        return Some(place.map_or_else(|| exception.to_owned(), |place| format!("{exception} at {place}")));
    }
    let (_, error) = unplaced?;
    let value = error.split_once("value: ")?.1.split(", traceback: ").next()?;
    Some(format!("what it returned does not fit the contract: {}", one_line(value)))
}

/// `  File "/0/dice.py", line 20, in roll`.
fn python_place(line: &str) -> Option<String> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
    let (line, function) = rest.split_once(", in ")?;
    let file = file.rsplit('/').next()?;
    Some(format!("{file}:{line} in {function}"))
}

/// `TypeError: table is undefined at roll@plugin.js:3:9`: componentize-js prints an error, its stack, and that it aborts. An error
/// that is not thrown as the contract has it is first converted, in vain, and the stack is that of the conversion: its own is there
/// if the plugin has printed it before, in the same form.
fn javascript(printed: &str) -> Option<String> {
    let (before, stack) = printed.rsplit_once(STACK)?;
    let (earlier, error) = before.rsplit_once('\n').unwrap_or(("", before));
    let thrown = error.split_once("(received `").and_then(|(_, rest)| rest.split_once("`) specified for `CallError`"));
    let Some((thrown, _)) = thrown else { return Some(placed(error, stack)) };
    let own = earlier.rsplit_once(STACK).filter(|(before, _)| before.ends_with(thrown));
    Some(own.map_or_else(|| thrown.to_owned(), |(_, stack)| placed(thrown, stack)))
}

/// Between an error and its stack.
const STACK: &str = "\nStack:\n";

/// The error, with the innermost frame of its stack.
fn placed(error: &str, stack: &str) -> String {
    let innermost = stack.lines().map(str::trim).find(|line| !line.is_empty());
    let place = innermost.and_then(|frame| {
        let (function, place) = frame.split_once('@')?;
        Some(format!("{function}@{}", place.rsplit('/').next()?))
    });
    place.map_or_else(|| error.to_owned(), |place| format!("{error} at {place}"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(printed: &str) -> String {
        describe(&Trap::UnreachableCodeReached.into(), printed)
    }

    #[test]
    fn a_panics_place_and_message_become_one_line() {
        let printed = "earlier line\n\nthread 'main' (1) panicked at src/lib.rs:14:24:\nguest says no\nnote: run with `RUST_BACKTRACE=1`";
        assert_eq!(told(printed), "panicked at src/lib.rs:14:24: guest says no");
    }

    #[test]
    fn of_a_python_exception_the_innermost_place_is_told() {
        let printed = "Traceback (most recent call last):\n  File \"/0/my_dice.py\", line 48, in generate\n  File \"/0/my_dice.py\", line 75, in roll\nKeyError: 'missing'\n\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1293:29:\nPython function threw an unexpected exception\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(told(printed), "KeyError: 'missing' at my_dice.py:75 in roll");
    }

    #[test]
    fn what_python_cannot_return_is_told_without_the_rust_around_it() {
        let printed = "\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1494:89:\ncalled `Result::unwrap()` on an `Err` value: PyErr { type: <class 'TypeError'>, value: TypeError(\"'int' object is not an instance of 'str'\"), traceback: None }\nnote: run with";
        assert_eq!(
            told(printed),
            "what it returned does not fit the contract: TypeError(\"'int' object is not an instance of 'str'\")"
        );
    }

    #[test]
    fn a_javascript_error_is_told_with_its_place() {
        let printed = "expected a string, received [number]\nStack:\n  _utf8AllocateAndEncode@/bundle/sources/initializer.js:80:11\n  export_generator_0_1_0$generate@/bundle/sources/initializer.js:1251:51\n\nRedirecting call to abort() to mozalloc_abort\n\n";
        assert_eq!(
            told(printed),
            "expected a string, received [number] at _utf8AllocateAndEncode@initializer.js:80:11"
        );
        let thrown = "invalid variant tag value `undefined` (received `TypeError: can't access property \"length\", table.missing is undefined`) specified for `CallError`\nStack:\n  export_generator_0_1_0$generate@/bundle/sources/initializer.js:1559:17\n\nRedirecting call to abort()";
        assert_eq!(told(thrown), "TypeError: can't access property \"length\", table.missing is undefined");
    }

    #[test]
    fn a_javascript_error_that_was_printed_before_it_was_thrown_has_its_own_place() {
        let thrown = "TypeError: can't access property \"length\", table.missing is undefined";
        let printed = format!(
            "{thrown}\nStack:\nroll@plugin.js:59:3\ntold/<@plugin.js:66:14\n\ninvalid variant tag value `undefined` (received `{thrown}`) specified for `CallError`\nStack:\n  export_generator_0_1_0$generate@/bundle/sources/initializer.js:1559:17\n\nRedirecting call to abort()"
        );
        assert_eq!(told(&printed), format!("{thrown} at roll@plugin.js:59:3"));
    }

    #[test]
    fn other_ends_say_what_they_are() {
        assert_eq!(describe(&Trap::IntegerDivisionByZero.into(), "chatter"), "wasm trap: integer divide by zero");
        assert_eq!(describe(&I32Exit(3).into(), ""), "it exited with status 3");
    }
}
