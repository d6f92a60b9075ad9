//! Splitting, cutting, stopping, holding back, over real texts.

use super::*;
use crate::request::{RepetitionDetection, ToolCall};
use crate::tokenizer::BuiltinTokenizer;

fn output(text: &str, max_tokens: u32, sampling: SamplingParams) -> CompletionOutput {
    let completion = Completion { content: Some(Content::Text(text.into())), ..Default::default() };
    CompletionOutput::new(completion, max_tokens, 7, &sampling, &BuiltinTokenizer::default(), false).unwrap()
}

fn stopping_at(stop: &[&str]) -> SamplingParams {
    SamplingParams { stop: stop.iter().map(|stop| stop.to_string()).collect(), ..Default::default() }
}

fn streamed(output: &CompletionOutput) -> Vec<&str> {
    let text = |token_idx| match output.piece(token_idx) {
        Piece::Reasoning(text) | Piece::Content(text) | Piece::Arguments { text, .. } => text,
        Piece::CallStart { call_idx } => &output.tool_calls().nth(call_idx).unwrap().name,
    };
    (0..output.n_tokens()).map(text).collect()
}

#[test]
fn a_text_within_its_limit_stops_by_itself() {
    let output = output("This is a test.", 6, SamplingParams::default());
    assert_eq!(streamed(&output), ["This ", "is ", "a ", "test", "."]);
    assert_eq!(output.finish_reason(), &FinishReason::Stop);
}

#[test]
fn reaching_the_limit_is_length_even_if_nothing_is_cut() {
    let exact = output("This is a test.", 5, SamplingParams::default());
    assert_eq!((exact.text(), exact.finish_reason()), ("This is a test.", &FinishReason::Length));
    let cut = output("This is a test.", 2, SamplingParams::default());
    assert_eq!((cut.text(), cut.finish_reason()), ("This is ", &FinishReason::Length));
}

#[test]
fn a_strategy_can_choose_a_length_below_the_limit() {
    let completion = Completion {
        content: Some(Content::Text("one two three four".into())),
        token_limit: Some(2),
        ..Default::default()
    };
    // Both below the text's own length.
    for max_tokens in [10, 3] {
        let sampling = SamplingParams::default();
        let tokenizer = BuiltinTokenizer::default();
        let output = CompletionOutput::new(completion.clone(), max_tokens, 7, &sampling, &tokenizer, false).unwrap();
        assert_eq!((output.text(), output.finish_reason()), ("one two ", &FinishReason::Stop));
    }
}

#[test]
fn a_stop_string_ends_the_text_before_it_and_is_the_stop_reason() {
    let output = output("one two three four", 10, stopping_at(&["four", "two"]));
    assert_eq!((output.text(), output.n_tokens()), ("one ", 2));
    assert_eq!(
        (output.finish_reason(), output.stop_reason()),
        (&FinishReason::Stop, Some(&StopReason::Text("two".into())))
    );
}

#[test]
fn a_stop_string_may_span_tokens_and_be_kept() {
    let sampling = SamplingParams { include_stop_str_in_output: true, ..stopping_at(&["wo th"]) };
    let output = output("one two three four", 10, sampling);
    assert_eq!((output.text(), output.n_tokens()), ("one two th", 3));
    assert_eq!(streamed(&output), ["one ", "two ", "th"]);
}

fn ids_of(text: &str) -> Vec<u32> {
    BuiltinTokenizer::default().encode(text)
}

fn with_ids(text: &str, sampling: SamplingParams) -> CompletionOutput {
    let completion = Completion { content: Some(Content::Text(text.into())), ..Default::default() };
    CompletionOutput::new(completion, 100, 7, &sampling, &BuiltinTokenizer::default(), true).unwrap()
}

#[test]
fn a_stop_token_ends_the_text_before_it_and_counts() {
    let two = ids_of("one two three")[1];
    let sampling = SamplingParams { stop_token_ids: vec![two], ..Default::default() };
    let output = with_ids("one two three", sampling.clone());
    assert_eq!((output.text(), output.n_tokens(), output.token_ids().len()), ("one ", 2, 2));
    assert_eq!((output.finish_reason(), output.stop_reason()), (&FinishReason::Stop, Some(&StopReason::Token(two))));
    let kept = with_ids("one two three", SamplingParams { include_stop_str_in_output: true, ..sampling.clone() });
    assert_eq!(kept.text(), "one two ");
    let later = with_ids("one two three", SamplingParams { min_tokens: 3, ..sampling });
    assert_eq!(later.text(), "one two three");
}

#[test]
fn an_output_that_repeats_itself_ends_there() {
    let detection = RepetitionDetection { pattern_sizes: 1..=2, min_count: 3 };
    let sampling = SamplingParams { repetition_detection: Some(detection), ..Default::default() };
    let output = with_ids("so it goes on and on and on and on and", sampling.clone());
    assert_eq!(output.text(), "so it goes on and on and on and ");
    let reasons = (output.finish_reason(), output.stop_reason());
    assert_eq!(reasons, (&FinishReason::Repetition, Some(&StopReason::Repetition)));
    assert_eq!(with_ids("one two three", sampling).finish_reason(), &FinishReason::Stop);
}

#[test]
fn a_stop_string_before_min_tokens_does_not_count() {
    let sampling = SamplingParams { min_tokens: 2, ..stopping_at(&["o"]) };
    assert_eq!(output("one two three four", 10, sampling).text(), "one two three f");
}

#[test]
fn a_stream_holds_back_what_may_become_a_stop_string() {
    let output = output("one two three", 10, stopping_at(&["xyz"]));
    assert_eq!(streamed(&output), ["on", "e tw", "o three"]);
}

fn calling(calls: &[(&str, &str)], max_tokens: u32) -> CompletionOutput {
    let call = |(name, arguments): &(&str, &str)| ToolCall {
        id: Some(format!("id-{name}")),
        name: name.to_string(),
        arguments: arguments.to_string(),
    };
    let completion = Completion { tool_calls: calls.iter().map(call).collect(), ..Default::default() };
    CompletionOutput::new(completion, max_tokens, 7, &SamplingParams::default(), &BuiltinTokenizer::default(), false)
        .unwrap()
}

#[test]
fn a_call_is_its_name_and_then_its_arguments() {
    let output = calling(&[("f", "{\"a\":1}"), ("g", "{}")], 100);
    assert_eq!(streamed(&output), ["f", "{", "\"", "a", "\"", ":", "1", "}", "g", "{", "}"]);
    assert_eq!(output.finish_reason(), &FinishReason::ToolCalls);
    assert_eq!(output.piece(8), Piece::CallStart { call_idx: 1 });
}

#[test]
fn calls_are_cut_at_the_limit_too() {
    let output = calling(&[("f", "{\"a\":1}"), ("g", "{}")], 3);
    assert_eq!(streamed(&output), ["f", "{", "\""]);
    assert_eq!((output.tool_calls().count(), output.finish_reason()), (1, &FinishReason::Length));
    assert_eq!(calling(&[("f", "{}")], 3).finish_reason(), &FinishReason::ToolCalls);
}

fn thinking(reasoning: &str, content: &str, max_tokens: u32, sampling: &SamplingParams) -> CompletionOutput {
    let text = |text: &str| Some(Content::Text(text.into()));
    let completion = Completion { reasoning: text(reasoning), content: text(content), ..Default::default() };
    CompletionOutput::new(completion, max_tokens, 7, sampling, &BuiltinTokenizer::default(), true).unwrap()
}

#[test]
fn reasoning_comes_before_content_and_one_index_counts_both() {
    let output = thinking("Let me see. ", "It is two.", 100, &SamplingParams::default());
    assert_eq!((output.reasoning(), output.text()), (Some("Let me see. "), "It is two."));
    assert_eq!((output.n_reasoning_tokens(), output.n_tokens()), (4, 8));
    assert_eq!([output.piece(2), output.piece(4)], [Piece::Reasoning("see"), Piece::Content("It ")]);
    assert_eq!(output.token_ids().len(), 8);
}

#[test]
fn an_output_that_is_cut_while_it_thinks_has_no_content() {
    let output = thinking("Let me see. ", "It is two.", 3, &SamplingParams::default());
    assert_eq!((output.reasoning(), output.text()), (Some("Let me see"), ""));
    assert_eq!((output.n_tokens(), output.finish_reason()), (3, &FinishReason::Length));
    let later = thinking("Let me see. ", "It is two.", 5, &SamplingParams::default());
    assert_eq!((later.text(), later.finish_reason()), ("It ", &FinishReason::Length));
}

#[test]
fn a_stop_string_ends_reasoning_too_and_min_tokens_counts_it() {
    let thinks = thinking("one two three", "four", 100, &stopping_at(&["two"]));
    assert_eq!(
        (thinks.reasoning(), thinks.text(), thinks.stop_reason()),
        (Some("one "), "", Some(&StopReason::Text("two".into())))
    );
    let sampling = SamplingParams { min_tokens: 4, ..stopping_at(&["o"]) };
    let answers = thinking("one two three", "four five so", 100, &sampling);
    assert_eq!((answers.reasoning(), answers.text()), (Some("one two three"), "four five s"));
}
