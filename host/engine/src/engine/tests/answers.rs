//! What is answered.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_empty_answer_is_one_event() {
    let (engine, _) = engine(1, 10, constant(10 * MS, 10 * MS));
    let events: Vec<_> = submit(&engine, 0).map(due).collect().await;
    let [event] = &events[..] else { panic!("{events:?}") };
    assert!(event.is_last());
    assert_eq!((event.output.text(), event.output.finish_reason()), ("", &FinishReason::Stop));
}

/// Calls the first offered tool so many times.
struct Calls(usize);

impl ToolCallStrategy for Calls {
    fn name(&self) -> &str {
        "calls"
    }

    fn call_tools<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Vec<ToolCall>, StrategyError>> {
        let name = choice.request.wishes.tools[0].name.clone();
        let call = ToolCall { id: None, name, arguments: "{}".into() };
        Box::pin(async { Ok(vec![call; self.0]) })
    }
}

#[tokio::test(start_paused = true)]
async fn offered_tools_are_called_as_the_tool_choice_wants() {
    let tool = Tool { name: "f".into(), description: None, parameters: "{}".into() };
    let named = ToolChoice::Function("f".into());
    for (tool_choice, parallel_tool_calls, calls, expected) in [
        (ToolChoice::Auto, true, 2, Ok((2, FinishReason::ToolCalls))),
        (ToolChoice::Auto, false, 2, Ok((1, FinishReason::ToolCalls))),
        (ToolChoice::Auto, true, 0, Ok((0, FinishReason::Stop))),
        (ToolChoice::None, true, 2, Ok((0, FinishReason::Stop))),
        (named.clone(), true, 1, Ok((1, FinishReason::Stop))),
        (ToolChoice::Required, true, 0, Err("no call although the tool choice demands one")),
    ] {
        let (engine, _) = engine(1, 10, constant(Duration::ZERO, Duration::ZERO));
        let mut request = request(SamplingParams::default());
        request.wishes = Wishes {
            tools: vec![tool.clone()],
            tool_choice: tool_choice.clone(),
            parallel_tool_calls,
            ..Default::default()
        };
        let strategies = Strategies { tool_caller: Some(Arc::new(Calls(calls))), ..words(3) };
        let event = engine.submit(request, strategies).unwrap().next().await.unwrap();
        match (event.map(|event| due(Ok(event))), expected) {
            (Ok(event), Ok((n_calls, finish_reason))) => {
                assert_eq!(event.output.tool_calls().count(), n_calls, "{tool_choice:?}");
                assert_eq!(*event.output.finish_reason(), finish_reason, "{tool_choice:?}");
                let ids: Vec<_> = event.output.tool_calls().map(|call| &call.id).collect();
                assert!(ids.iter().all(|id| id.starts_with("chatcmpl-tool-") && id.len() == 30), "{ids:?}");
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (event, expected) => panic!("{event:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn output_is_cut_to_what_the_window_leaves() {
    let (engine, _) = engine(1, 10, constant(Duration::ZERO, Duration::ZERO));
    let mut long_prompt = request(SamplingParams { max_tokens: Some(100), ..Default::default() });
    long_prompt.prompts[0].n_tokens = 1020;
    let events: Vec<_> = engine.submit(long_prompt, words(50)).unwrap().map(due).collect().await;
    let output = &events[0].output;
    assert_eq!((output.n_tokens(), output.finish_reason()), (4, &FinishReason::Length));
}

#[tokio::test(start_paused = true)]
async fn ids_and_seeds_follow_from_the_seed_and_the_order() {
    struct Seeds(Mutex<Vec<u64>>);
    impl ResponseStrategy for Seeds {
        fn name(&self) -> &str {
            "seeds"
        }
        fn generate<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
            self.0.lock().unwrap().push(choice.seed);
            Box::pin(async { Ok(Completion::default()) })
        }
    }
    let run = |first_has_seed: bool| async move {
        let (engine, _) = engine(1, 10, constant(Duration::ZERO, Duration::ZERO));
        let seeds = Arc::new(Seeds(Mutex::default()));
        let mut ids = Vec::new();
        for seed in [first_has_seed.then_some(1), None, Some(42)] {
            let stream = engine
                .submit(request(SamplingParams { seed, ..Default::default() }), Strategies::text_only(seeds.clone()))
                .unwrap();
            ids.push(stream.request_id().to_owned());
            stream.collect::<Vec<_>>().await;
        }
        let seeds = seeds.0.lock().unwrap().clone();
        (ids, seeds)
    };
    let (ids, seeds) = run(false).await;
    assert_eq!(run(false).await, (ids.clone(), seeds.clone()));
    assert!(ids.iter().all(|id| id.len() == 16) && ids[0] != ids[1]);
    let (_, other) = run(true).await;
    assert_ne!(seeds[0], other[0]);
    assert_eq!(seeds[2], other[2], "a client's seed decides alone");
}
