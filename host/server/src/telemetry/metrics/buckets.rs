//! Upper bounds of vLLM's histograms.

/// Seconds until the first token.
pub(crate) const FIRST_TOKEN: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
];

/// Seconds between tokens.
pub(crate) const BETWEEN_TOKENS: [f64; 19] =
    [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0];

/// Seconds of a request, or of a part of it.
pub(crate) const REQUEST: [f64; 21] = [
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
];

/// Tokens of a step.
pub(super) const STEP_TOKENS: [f64; 13] =
    [1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0];

/// Choices of a request.
pub(super) const CHOICES: [f64; 5] = [1.0, 2.0, 5.0, 10.0, 20.0];

/// Preemptions of a request.
pub(super) const PREEMPTIONS: [f64; 7] = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0];

/// Tokens of a request: 1, 2, 5, 10, 20, 50 and so on, up to the context window.
pub(crate) fn request_tokens(max_model_len: u32) -> Vec<f64> {
    let series = (0..).flat_map(|exponent| [1_u64, 2, 5].map(|digit| digit * 10_u64.pow(exponent)));
    series.take_while(|bound| *bound <= u64::from(max_model_len)).map(|bound| bound as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_up_to_the_window() {
        assert_eq!(request_tokens(1024), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(request_tokens(131_072).last(), Some(&100_000.0));
        assert_eq!(request_tokens(u32::MAX).last(), Some(&2e9));
        assert_eq!(request_tokens(1), [1.0]);
    }
}
