use super::*;
use crate::output::{Completion, Content};
use crate::request::SamplingParams;
use crate::tokenizer::BuiltinTokenizer;

fn mailbox(n_choices: u32) -> Mailbox {
    let content = Content::Text("word ".repeat(1000));
    let completion = Completion { content: Some(content), ..Default::default() };
    let tokenizer = BuiltinTokenizer::default();
    let output = CompletionOutput::new(completion, 1000, 7, &SamplingParams::default(), &tokenizer, false).unwrap();
    let output = Arc::new(output);
    let mailbox = Mailbox::new(n_choices, false);
    for choice in 0..n_choices {
        mailbox.put(Delivery::Output { choice, output: output.clone() });
    }
    mailbox
}

fn put(mailbox: &Mailbox, choice: u32, end: usize) -> Option<Waker> {
    mailbox.put(Delivery::Tokens { choice, end, history: SequenceHistory::default() })
}

#[test]
fn what_waits_for_a_slow_client_is_one_range() {
    let mailbox = mailbox(1);
    (1..=1000).for_each(|end| drop(put(&mailbox, 0, end)));
    assert_eq!(mailbox.lock().entries.len(), 1);
    let taken: Vec<_> = std::iter::from_fn(|| mailbox.take()).collect();
    let tokens: Vec<_> = taken
        .iter()
        .map(|item| match item {
            Item::Tokens(due) => due.tokens.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(tokens, [0..256, 256..512, 512..768, 768..1000], "and is taken piece by piece");
}

#[test]
fn of_an_answer_in_one_piece_each_choice_is_one_range() {
    let mailbox = mailbox(2);
    mailbox.read_at_end();
    for end in 1..=1000 {
        (0..2).for_each(|choice| drop(put(&mailbox, choice, end)));
    }
    assert_eq!(mailbox.lock().entries.len(), 2);
    let taken: Vec<_> = std::iter::from_fn(|| mailbox.take()).collect();
    assert!(taken.iter().all(|item| matches!(item, Item::Tokens(due) if due.tokens == (0..1000))), "{taken:?}");
}

#[test]
fn what_ends_before_its_tokens_were_taken_ends_once() {
    let mailbox = mailbox(2);
    for choice in [0, 1, 0, 1] {
        let due = mailbox.lock().choices[choice as usize].due;
        put(&mailbox, choice, due.max(1));
    }
    let taken: Vec<_> = std::iter::from_fn(|| mailbox.take()).collect();
    assert!(taken.len() == 2 && taken.iter().all(|item| matches!(item, Item::Tokens(due) if due.tokens == (0..1))));
    put(&mailbox, 0, 1);
    assert!(matches!(mailbox.take(), Some(Item::Tokens(due)) if due.tokens == (1..1)));
}

#[test]
fn choices_keep_their_order_however_late_they_are_taken() {
    let mailbox = mailbox(2);
    for (choice, end) in [(0, 1), (1, 2), (0, 2), (0, 3)] {
        put(&mailbox, choice, end);
    }
    let taken: Vec<_> = std::iter::from_fn(|| mailbox.take())
        .map(|item| match item {
            Item::Tokens(due) => (due.choice, due.tokens),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(taken, [(0, 0..1), (1, 0..2), (0, 1..3)]);
}
