//! A generator's say in how likely its tokens were: `logprobs` among the extras of a completion.

use rehearsal_engine::GivenLogprob;
use rehearsal_engine::output::TokenLogprob;
use serde::Deserialize;

/// Natural logarithms of probabilities.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Nothing,
    Logprob(f32),
    WithOthers(WithOthers),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithOthers {
    logprob: f32,
    /// Token ids, each with its own.
    top: Vec<(u32, f32)>,
}

/// One for each token; none if it says nothing. Fails with what is wrong.
pub(crate) fn read(extras: &[(String, String)]) -> Result<Vec<Option<GivenLogprob>>, String> {
    let Some((_, text)) = extras.iter().find(|(name, _)| name == "logprobs") else { return Ok(Vec::new()) };
    let said: Vec<Said> = serde_json::from_str(text).map_err(|error| {
        format!("its extra \"logprobs\": {error}: expected a list of numbers, nulls and {{\"logprob\": …, \"top\": [[id, …], …]}}")
    })?;
    said.into_iter().enumerate().map(|(token_idx, said)| given(token_idx, said)).collect()
}

fn given(token_idx: usize, said: Said) -> Result<Option<GivenLogprob>, String> {
    let (logprob, top) = match said {
        Said::Nothing => return Ok(None),
        Said::Logprob(logprob) => (logprob, Vec::new()),
        Said::WithOthers(WithOthers { logprob, top }) => (logprob, top),
    };
    if let Some(odd) =
        top.iter().map(|(_, logprob)| *logprob).chain([logprob]).find(|logprob| !(-1e30..=0.0).contains(logprob))
    {
        return Err(format!("its extra \"logprobs\" has {odd} at token {token_idx}: expected 0 or less"));
    }
    if let Some((id, _)) =
        top.iter().enumerate().find_map(|(at, other)| top[..at].iter().find(|(id, _)| *id == other.0))
    {
        return Err(format!("its extra \"logprobs\" has the id {id} twice at token {token_idx}"));
    }
    let mut others: Vec<_> = top.into_iter().map(|(id, logprob)| TokenLogprob { id, logprob }).collect();
    others.sort_by(|one, other| other.logprob.total_cmp(&one.logprob));
    Ok(Some(GivenLogprob { logprob, others }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Option<GivenLogprob>>, String> {
        super::read(&[("logprobs".into(), text.into())])
    }

    #[test]
    fn what_is_said_is_read_and_sorted() {
        let given = read(r#"[-0.5, null, {"logprob": -0.1, "top": [[7, -4], [8, -2.5]]}]"#).unwrap();
        let of = |logprob, others: &[(u32, f32)]| {
            let others = others.iter().map(|(id, logprob)| TokenLogprob { id: *id, logprob: *logprob });
            Some(GivenLogprob { logprob, others: others.collect() })
        };
        assert_eq!(given, [of(-0.5, &[]), None, of(-0.1, &[(8, -2.5), (7, -4.0)])]);
        assert_eq!(super::read(&[]), Ok(Vec::new()));
    }

    #[test]
    fn what_is_none_is_told() {
        assert!(read("[0.1]").unwrap_err().contains("has 0.1 at token 0: expected 0 or less"));
        assert!(read(r#"[{"logprob": -1, "top": [[1, 2]]}]"#).unwrap_err().contains("has 2 at token 0"));
        assert!(
            read(r#"[null, {"logprob": -1, "top": [[1, -2], [1, -3]]}]"#)
                .unwrap_err()
                .contains("the id 1 twice at token 1")
        );
        assert!(read("{}").unwrap_err().contains("expected a list of numbers"));
    }
}
