//! A guest that is told how requests ended, and keeps each in its state. It takes its time over a model named `slow`.

use rehearsal_sdk::{Description, Ending, NoConfig, Observer, Plugin, export, state};

/// The plugin.
pub struct Witness;

impl Plugin for Witness {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("witness", env!("CARGO_PKG_VERSION"), "remembers how requests ended")
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Observer for Witness {
    fn finished(&self, ending: &Ending) {
        let Ending { number, outcome, status, on_purpose, .. } = ending;
        let Ending { choices, prompt_tokens, output_tokens, scheduled_us, first_token_us, last_token_us, .. } = ending;
        if ending.model == "slow" {
            (0..1 << 22).for_each(|at| _ = std::hint::black_box(at));
        }
        let moments =
            [scheduled_us, first_token_us, last_token_us].map(|at| at.map_or("-".to_owned(), |at| at.to_string()));
        let moments = moments.join(" ");
        let record = format!(
            "{outcome:?} {status} {on_purpose}, {choices} choices, {prompt_tokens} in, {output_tokens} out, at {moments}"
        );
        let times = state::increment(&format!("told {number:03}"), 1);
        // What does not fit is not remembered.
        let _ = state::set(&format!("ending {number:03} {times}"), record.as_bytes());
    }
}

export!(Witness: observer);
