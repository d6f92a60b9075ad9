//! The smallest plugin: says what the user said, louder.

use rehearsal_sdk::{CallError, Completion, Description, Generator, NoConfig, Plugin, Request, export};

/// The plugin; it has nothing to configure.
pub struct Shout;

impl Plugin for Shout {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("shout", env!("CARGO_PKG_VERSION"), "says it louder")
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Generator for Shout {
    fn generate(&self, request: &Request) -> Result<Completion, CallError> {
        Ok(Completion::text(request.last_user_text().to_uppercase()))
    }
}

export!(Shout: generator);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_it_louder() {
        assert_eq!(Shout.generate(&Request::chat("be quick")), Ok(Completion::text("BE QUICK")));
    }
}
