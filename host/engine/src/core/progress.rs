//! How far a sequence is in the steps of an engine whose batch goes in steps. They are numbered in the order in which they are
//! scheduled.

/// How far a sequence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Progress {
    /// In no step: it waits in the queue, for its KV cache from elsewhere or for its strategy, or it hangs.
    #[default]
    Out,
    /// `computed` of its `all` tokens are computed, or will be in steps that are scheduled.
    Prefilling { computed: u32, all: u32 },
    /// This step computes the last of them, and gives a token; with that, `base` of its output are scheduled.
    Prefilled { step: u64, base: u32 },
    /// It has a token in each step of a range.
    Decoding(Decoding),
}

/// The steps in which a sequence generates a token each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decoding {
    /// The first of them.
    pub(super) since: u64,
    /// Tokens of its output that were scheduled before.
    pub(super) base: u32,
    /// Of its prompt.
    pub(super) n_prompt: u32,
    /// The one with the last token of its output.
    pub(super) last: u64,
    /// The last one that it is in: where it ends by itself, asynchronous scheduling learns of that too late, and computes a
    /// token that nothing becomes of.
    pub(super) until: u64,
}

impl Decoding {
    /// Tokens of its output up to this step, one of its own.
    pub(super) fn generated(&self, step: u64) -> u32 {
        self.base + (step - self.since) as u32 + 1
    }

    /// Tokens that it has before this step, the prompt's included: the context of the one that the step computes.
    pub(super) fn context(&self, step: u64) -> u64 {
        u64::from(self.n_prompt) + u64::from(self.base) + step - self.since
    }

    /// Whether this step gives a token of its output.
    pub(super) fn generates(&self, step: u64) -> bool {
        (self.since..=self.last).contains(&step)
    }

    /// Whether it needs a further block in this step, in which its latest token is computed.
    pub(super) fn crosses(&self, step: u64, block_size: u64) -> bool {
        self.generates(step) && (self.context(step) - 1).is_multiple_of(block_size)
    }
}
