//! Answers with the text of the request, unchanged to the byte, unless a format is asked for. The host cuts it at
//! `max-tokens`.

use rehearsal_sdk::{CallError, Completion, Description, Generator, NoConfig, Plugin, Request, export, rng};
use rehearsal_synthesis::structured;

/// The plugin; it has nothing to configure.
pub struct Echo;

impl Plugin for Echo {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("echo", env!("CARGO_PKG_VERSION"), "repeats the user's text")
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Generator for Echo {
    fn generate(&self, request: &Request) -> Result<Completion, CallError> {
        structured(request, &mut rng(request.seed)).unwrap_or_else(|| Ok(Completion::text(request.last_user_text())))
    }
}

export!(Echo: generator);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_the_text_to_the_byte() {
        for text in ["", " leading and trailing ", "tab\tand\r\n", "naïve 你好 👩‍👩‍👧‍👦"] {
            for request in [Request::chat(text), Request::completion(text)] {
                assert_eq!(Echo.generate(&request), Ok(Completion::text(text)));
            }
        }
    }
}
