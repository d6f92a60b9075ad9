//! The KV cache and its events.

use super::*;

#[test]
fn endpoints_are_bound_or_connected_by_vllms_rule_and_each_rank_has_its_own() {
    let endpoints = |line: &str, rank: usize| {
        let config = config(&format!("--model m --enable-kvcache --data-parallel-size 3 {line}")).unwrap();
        let events = config.of_all_ranks().nth(rank).unwrap().kv_events.unwrap();
        (events.endpoint.address.clone(), events.endpoint.binds)
    };
    for (address, rank, expected, binds) in [
        ("tcp://*:5557", 0, "tcp://*:5557", true),
        ("tcp://*:5557", 2, "tcp://*:5559", true),
        ("tcp://*:0", 2, "tcp://*:0", true),
        ("tcp://[::]:5557", 1, "tcp://[::]:5558", true),
        ("tcp://router:5557", 1, "tcp://router:5558", false),
        ("ipc:///run/events", 0, "ipc:///run/events", true),
        ("ipc:///run/events", 1, "ipc:///run/events_dp1", true),
    ] {
        assert_eq!(endpoints(&format!("--zmq-endpoint {address}"), rank), (expected.to_owned(), binds));
    }
    assert_eq!(endpoints("--data-parallel-rank 2", 0), ("tcp://localhost:5559".to_owned(), false));
    let near = "--zmq-endpoint tcp://*:5557 --kv-events-replay-endpoint tcp://*:5558 --data-parallel-size 2";
    let problems = config(&format!("--model m --enable-kvcache {near}")).unwrap_err();
    assert!(problems[0].starts_with("kv-events-replay-endpoint: its port 5558"), "{problems:?}");
}

#[test]
fn there_are_events_only_with_a_cache_and_somewhere_to_go() {
    let events = |line: &str| config(&format!("--model m {line}")).unwrap().kv_events;
    assert_eq!(events(""), None);
    assert_eq!(events("--enable-kvcache --zmq-endpoint="), None);
    let usual = events("--enable-kvcache").unwrap();
    assert_eq!((usual.endpoint.address.as_str(), usual.batch_size, usual.as_maps), ("tcp://localhost:5557", 16, true));
    let vllm =
        r#"--kv-events-config {"enable_kv_cache_events":true,"replay_endpoint":"tcp://*:5558","buffer_steps":9}"#;
    let from_vllm = events(&format!("{vllm} --zmq-endpoint tcp://elsewhere:1")).unwrap();
    assert_eq!((from_vllm.endpoint.address.as_str(), from_vllm.topic.as_deref()), ("tcp://*:5557", Some("")));
    assert_eq!((from_vllm.replay_endpoint.unwrap().address.as_str(), from_vllm.replay_queue_size), ("tcp://*:5558", 9));
    assert_eq!(events(&format!("{vllm} --kv-events-topic kv@x")).unwrap().topic.as_deref(), Some("kv@x"));
    assert_eq!(events(r#"--enable-kvcache --kv-events-config {"enable_kv_cache_events":false}"#), None);
    for contradiction in [&format!("{vllm} --enable-kvcache false"), "--kv-events-replay-endpoint tcp://*:5558"] {
        assert_eq!(config(&format!("--model m {contradiction}")).unwrap_err().len(), 1, "{contradiction}");
    }
}

#[test]
fn the_hash_seed_may_come_from_pythons_variable() {
    let seed = |line: &str| {
        let config = config_with_env(&format!("--model m --enable-kvcache {line}"), &[("PYTHONHASHSEED", "42")]);
        config.unwrap().engine.kv_cache.unwrap().hash_seed
    };
    assert_eq!(seed("").as_deref(), Some("42"));
    assert_eq!(seed("--hash-seed 7").as_deref(), Some("7"));
    assert_eq!(config("--model m --enable-kvcache").unwrap().engine.kv_cache.unwrap().hash_seed, None);
}

#[test]
fn prefix_caching_alone_turns_no_cache_on() {
    let cache = |line: &str| config(&format!("--model m {line}")).unwrap().engine.kv_cache;
    assert_eq!(cache("--enable-prefix-caching"), None);
    assert!(cache("--enable-kvcache").unwrap().reuses_prefixes);
    assert!(!cache("--enable-kvcache --no-enable-prefix-caching").unwrap().reuses_prefixes);
    assert!(!cache("--enable-kvcache --disable-prefix-caching").unwrap().reuses_prefixes);
}
