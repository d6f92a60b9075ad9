//! Shorthand for what plugins return most.

use std::time::Duration;

use crate::{Completion, Content, Description};

impl Completion {
    /// An answer that the host splits into tokens, cuts and finishes.
    ///
    /// ```
    /// use rehearsal_sdk::{Completion, Content};
    ///
    /// assert_eq!(Completion::text("hello").content, Some(Content::Text("hello".into())));
    /// ```
    pub fn text(text: impl Into<String>) -> Self {
        Self::with_content(Content::Text(text.into()))
    }

    /// An answer in these pieces, each of which is streamed as one token.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use rehearsal_sdk::{Completion, Content};
    ///
    /// let slow = Completion::pieces(["It", " was", " late."]).with_delays(&[Duration::from_millis(3); 2]);
    /// assert_eq!(slow.content, Some(Content::Pieces(vec!["It".into(), " was".into(), " late.".into()])));
    /// ```
    pub fn pieces(pieces: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::with_content(Content::Pieces(pieces.into_iter().map(Into::into).collect()))
    }

    fn with_content(content: Content) -> Self {
        Self {
            reasoning: None,
            content: Some(content),
            tool_calls: Vec::new(),
            token_limit: None,
            finish: None,
            extras: Vec::new(),
        }
    }

    /// The same answer with this thought before it.
    ///
    /// ```
    /// use rehearsal_sdk::{Completion, Content};
    ///
    /// let thought = Completion::text("Two.").with_reasoning("One and one. ").reasoning;
    /// assert_eq!(thought, Some(Content::Text("One and one. ".into())));
    /// ```
    pub fn with_reasoning(self, reasoning: impl Into<String>) -> Self {
        Self { reasoning: Some(Content::Text(reasoning.into())), ..self }
    }

    /// The same answer, cut by the host after `n_tokens`.
    ///
    /// ```
    /// assert_eq!(rehearsal_sdk::Completion::text("one two three").limited_to(2).token_limit, Some(2));
    /// ```
    pub fn limited_to(self, n_tokens: u32) -> Self {
        Self { token_limit: Some(n_tokens), ..self }
    }

    /// The same answer, whose first token comes so much later than the latency model says, in whole microseconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let late = rehearsal_sdk::Completion::text("sorry").with_ttft(Duration::from_millis(2));
    /// assert_eq!(late.extras, [("ttft-us".to_owned(), "2000".to_owned())]);
    /// ```
    pub fn with_ttft(self, ttft: Duration) -> Self {
        self.with_extra("ttft-us", ttft.as_micros().to_string())
    }

    /// The same answer, whose second token and those after it come so much later than the latency model says, each after
    /// the one before it, in whole microseconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let slow = rehearsal_sdk::Completion::pieces(["a", "b", "c"]).with_delays(&[Duration::from_micros(5); 2]);
    /// assert_eq!(slow.extras, [("delays-us".to_owned(), "[5,5]".to_owned())]);
    /// ```
    pub fn with_delays(self, delays: &[Duration]) -> Self {
        let micros: Vec<_> = delays.iter().map(|delay| delay.as_micros().to_string()).collect();
        self.with_extra("delays-us", format!("[{}]", micros.join(",")))
    }

    /// The same answer, whose own times take the place of the latency model's instead of being added to them.
    ///
    /// ```
    /// let replayed = rehearsal_sdk::Completion::text("again").replacing_the_latency_model();
    /// assert_eq!(replayed.extras, [("timing".to_owned(), "\"replace\"".to_owned())]);
    /// ```
    pub fn replacing_the_latency_model(self) -> Self {
        self.with_extra("timing", "\"replace\"")
    }

    /// The same answer, whose tokens were so likely, by their place in the output: natural logarithms, 0 or less. What is told of
    /// tokens after those is made up.
    ///
    /// ```
    /// let sure = rehearsal_sdk::Completion::pieces(["a", "b"]).with_logprobs(&[-0.5, 0.0]);
    /// assert_eq!(sure.extras, [("logprobs".to_owned(), "[-0.5,0]".to_owned())]);
    /// ```
    pub fn with_logprobs(self, logprobs: &[f32]) -> Self {
        let logprobs: Vec<_> = logprobs.iter().map(f32::to_string).collect();
        self.with_extra("logprobs", format!("[{}]", logprobs.join(",")))
    }

    /// The same answer with something that the contract has no field for: a name and JSON text, as `wit/README.md` lists them.
    ///
    /// ```
    /// let late = rehearsal_sdk::Completion::text("sorry").with_extra("ttft-us", "2000");
    /// assert_eq!(late.extras.len(), 1);
    /// ```
    pub fn with_extra(mut self, name: &str, json: impl Into<String>) -> Self {
        self.extras.push((name.into(), json.into()));
        self
    }
}

impl Description {
    /// A description with no needs.
    ///
    /// ```
    /// let description = rehearsal_sdk::Description::new("shout", "1.0.0", "says it louder");
    /// assert!(description.needs.is_empty());
    /// ```
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            needs: Vec::new(),
            config_schema: None,
            extras: Vec::new(),
        }
    }

    /// The same, needing these too: `header:x-tenant-id`, `raw-body`, `extras:load` and the others that `wit/README.md` lists.
    ///
    /// ```
    /// use rehearsal_sdk::Description;
    ///
    /// let description = Description::new("flaky", "1.0.0", "fails some").needing(["header:x-tenant-id", "extras:load"]);
    /// assert_eq!(description.needs.len(), 2);
    /// ```
    pub fn needing(mut self, needs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.needs.extend(needs.into_iter().map(Into::into));
        self
    }
}
