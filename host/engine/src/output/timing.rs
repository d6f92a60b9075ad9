//! How long tokens take, where their strategy says so: a stream that was recorded can be played as it was.

use std::time::Duration;

use crate::clock::EngineTime;

/// A strategy's say in when its tokens fall due. What it does not say, the latency model does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timing {
    /// Before the first token.
    pub ttft: Option<Duration>,
    /// Between tokens.
    pub delays: Delays,
    /// They take the place of the model's durations, instead of being added to them.
    pub replaces: bool,
}

/// How long after the token before a token is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delays {
    /// One after the other, from the second token on.
    OfTokens(Vec<Duration>),
    /// By what the token is part of.
    OfParts {
        /// What the model thinks.
        reasoning: Option<Duration>,
        /// The answer.
        content: Option<Duration>,
        /// Calls of tools, their names too.
        arguments: Option<Duration>,
    },
}

impl Default for Delays {
    fn default() -> Self {
        Self::OfTokens(Vec::new())
    }
}

/// What a token is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartKind {
    Reasoning,
    Content,
    Arguments,
}

impl Timing {
    /// When the first token is due of a sequence that left the queue at `scheduled`, by the model at `prefilled_at`.
    pub(crate) fn first_token(&self, scheduled: EngineTime, prefilled_at: EngineTime) -> EngineTime {
        match self.ttft {
            None => prefilled_at,
            Some(ttft) if self.replaces => scheduled + ttft,
            Some(ttft) => prefilled_at + ttft,
        }
    }

    /// How long after the token before the one at `token_idx`, from 1, is due, where the model says `model`.
    pub(crate) fn gap(&self, token_idx: usize, kind: PartKind, model: Duration) -> Duration {
        let said = match (&self.delays, kind) {
            (Delays::OfTokens(delays), _) => delays.get(token_idx - 1).copied(),
            (Delays::OfParts { reasoning, .. }, PartKind::Reasoning) => *reasoning,
            (Delays::OfParts { content, .. }, PartKind::Content) => *content,
            (Delays::OfParts { arguments, .. }, PartKind::Arguments) => *arguments,
        };
        match said {
            None => model,
            Some(delay) if self.replaces => delay,
            Some(delay) => model.saturating_add(delay),
        }
    }

    /// The same for an output whose `n_thought` tokens of reasoning became content, with so many tokens before and after
    /// them, whose time is not said.
    pub(super) fn of_merged(self, before: usize, n_thought: usize, after: usize) -> Self {
        let delays = match self.delays {
            Delays::OfTokens(mut delays) => {
                delays.splice(0..0, vec![Duration::ZERO; before]);
                let end = before + n_thought.saturating_sub(1);
                if end <= delays.len() {
                    delays.splice(end..end, vec![Duration::ZERO; after]);
                }
                Delays::OfTokens(delays)
            }
            // What is content now goes at one pace.
            parts @ Delays::OfParts { .. } => parts,
        };
        Self { delays, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_is_said_is_added_or_takes_the_models_place_and_else_the_model_is_asked() {
        let delays = Delays::OfTokens(vec![ms(1), ms(2)]);
        let gaps = |replaces| {
            let timing = Timing { ttft: Some(ms(7)), delays: delays.clone(), replaces };
            [1, 2, 3].map(|token_idx| timing.gap(token_idx, PartKind::Content, ms(10)))
        };
        assert_eq!((gaps(false), gaps(true)), ([ms(11), ms(12), ms(10)], [ms(1), ms(2), ms(10)]));
        let first = |replaces| {
            let timing = Timing { ttft: Some(ms(7)), replaces, ..Default::default() };
            timing.first_token(EngineTime::START + ms(5), EngineTime::START + ms(25)).since_start()
        };
        assert_eq!((first(false), first(true)), (ms(32), ms(12)));
    }

    #[test]
    fn tags_around_reasoning_take_no_time() {
        let delays = Delays::OfTokens([1, 2, 3].map(ms).into());
        let merged = Timing { delays, ..Default::default() }.of_merged(2, 2, 1);
        assert_eq!(merged.delays, Delays::OfTokens([0, 0, 1, 0, 2, 3].map(ms).into()));
    }
}
