//! How long texts and lists are.

/// The shortest and longest length: the schema's, and `usual` where it says nothing.
pub(super) fn lengths(
    shortest: Option<usize>,
    longest: Option<usize>,
    usual: (usize, usize),
) -> Result<(usize, usize), String> {
    match (shortest, longest) {
        (Some(shortest), Some(longest)) if shortest > longest => {
            Err(format!("at least {shortest} and at most {longest} contradict each other"))
        }
        // A longer one is of no use, unless the schema's lower bound asks for it.
        (Some(shortest), Some(longest)) => Ok((shortest, longest.min(shortest.max(usual.1)))),
        (Some(shortest), None) => Ok((shortest, shortest.max(usual.1))),
        (None, Some(longest)) => Ok((usual.0.min(longest), longest.min(usual.1))),
        (None, None) => Ok((usual.0, usual.1.max(usual.0))),
    }
}
