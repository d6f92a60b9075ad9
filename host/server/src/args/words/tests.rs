//! Command lines, word by word.

use serde_json::json;

use super::*;

fn words(line: &str) -> Words {
    read(line.split_whitespace().map(str::to_owned))
}

/// The value of one key.
fn value(line: &str, key: &str) -> Option<Value> {
    let words = words(line);
    assert_eq!((&words.problems, &words.unknown), (&Vec::new(), &Vec::new()), "{line}");
    words.values.into_iter().find(|given| given.spec.name == key).map(|given| given.value)
}

#[test]
fn lists_eat_words_up_to_the_next_flag_and_grow() {
    let line = "--served-model-name a b --port 1 --served-model-name c";
    assert_eq!(value(line, "served-model-name"), Some(json!(["a", "b", "c"])));
    assert_eq!(value("--served-model-name=a m", "model"), Some(json!("m")));
}

#[test]
fn a_switch_takes_true_and_false_and_leaves_everything_else() {
    for (line, expected) in [
        ("--enable-kvcache my-model", json!(true)),
        ("--enable-kvcache false my-model", json!("false")),
        ("--enable-kvcache=true my-model", json!("true")),
        ("--no-enable-kvcache my-model", json!(false)),
        ("--enable-kvcache --disable-kvcache my-model", json!(false)),
    ] {
        assert_eq!(value(line, "enable-kvcache"), Some(expected), "{line}");
        assert_eq!(value(line, "model"), Some(json!("my-model")), "{line}");
    }
    assert_eq!(words("--no-enable-kvcache=false").problems.len(), 1);
}

#[test]
fn short_names_may_have_more_than_one_letter() {
    for line in ["-dp 4", "-dp=4"] {
        assert_eq!(value(line, "data-parallel-size"), Some(json!("4")), "{line}");
    }
    for line in ["-v 4", "-v=4", "-v4", "--v 4"] {
        assert_eq!(value(line, "v"), Some(json!("4")), "{line}");
    }
    for line in ["-tp 8", "-tp=8", "-q awq", "-qawq", "-O0", "-O1", "-O2", "-O3", "-O 3", "-cc.mode=3", "-ep"] {
        assert_eq!(words(line).without_effect.len(), 1, "{line}");
        assert_eq!(value(&format!("{line} m"), "model"), Some(json!("m")), "{line}");
    }
    assert_eq!(words("-zzz secret").unknown, ["unknown flag -zzz and the word behind it"]);
    assert_eq!(
        words("-api-key secret").unknown,
        ["unknown flag -api-key and the word behind it; did you mean --api-key?"]
    );
    assert_eq!((words("-V").wants, words("-h").wants), (Wants::Version, Wants::Help));
}

#[test]
fn negative_numbers_are_values() {
    assert_eq!(value("--max-model-len -1 --seed -5", "max-model-len"), Some(json!("-1")));
    assert_eq!(value("--max-model-len -1 --seed -5", "seed"), Some(json!("-5")));
}

#[test]
fn json_comes_whole_or_in_parts() {
    let line = r#"--kv-events-config {"topic":"a","buffer_steps":1} --kv-events-config.topic b"#;
    assert_eq!(value(line, "kv-events-config"), Some(json!({ "topic": "b", "buffer_steps": 1 })));
    let line =
        "--override-generation-config.a.b 1 --override-generation-config.a.c=x --override-generation-config.l+ 1,y";
    let expected = json!({ "a": { "b": 1, "c": "x" }, "l": [1, "y"] });
    assert_eq!(value(line, "override-generation-config"), Some(expected));
    assert_eq!(words("--kv-transfer-config.kv_connector=NixlConnector m").without_effect, ["--kv-transfer-config"]);
    let line = "--override-generation-config.max_new_tokens 1k --override-generation-config.x True";
    assert_eq!(value(line, "override-generation-config"), Some(json!({ "max_new_tokens": 1000, "x": "True" })));
    let broken = words("--override-generation-config junk --override-generation-config.a 1").problems;
    assert!(broken[0].contains("\"junk\", which was given before, is not a JSON object"), "{broken:?}");
    assert_eq!(words("--port.x 1").problems, ["--port.x: --port has no parts: it is no JSON object"]);
}

#[test]
fn names_are_never_matched_by_prefix() {
    let unknown = words("--lora-module a=/p --max-num-seq 3");
    assert_eq!(
        unknown.unknown,
        [
            "unknown flag --lora-module and the word behind it; did you mean --lora-modules?",
            "unknown flag --max-num-seq and the word behind it; did you mean --max-num-seqs?",
        ]
    );
    assert_eq!(unknown.values.len(), 0, "the values of unknown flags are no models");
}

#[test]
fn what_was_renamed_says_how_it_is_called_now() {
    for (line, now) in [("--max-running-requests 5", "--max-num-seqs"), ("--lora a,b", "--lora-modules")] {
        assert!(words(line).problems[0].contains(now), "{line}");
    }
}

#[test]
fn a_value_that_is_missing_is_named() {
    assert_eq!(
        words("--port --served-model-name").problems,
        ["--port: it needs a value, PORT", "--served-model-name: it needs a value or more, NAME"]
    );
    assert_eq!(words("--hf-token --port 1").problems.len(), 0, "vLLM's may stand alone");
}

#[test]
fn there_is_one_model() {
    assert_eq!(value("serve m --port 1", "model"), Some(json!("m")));
    assert_eq!(value("m --model m", "model"), Some(json!("m")));
    assert_eq!(words("m --model n").problems.len(), 1);
    assert_eq!(
        words("--config a.yaml --config b.yaml").problems,
        ["--config: there is one configuration file at most"]
    );
    assert_eq!(words("m n").problems, ["unexpected argument \"n\": the model is \"m\" already"]);
}

#[test]
fn two_names_of_one_key_must_agree() {
    assert_eq!(value("--kv-cache-size 9 --num-gpu-blocks-override 9", "kv-cache-size"), Some(json!("9")));
    assert_eq!(value("--kv-cache-size 9 --kv-cache-size 8", "kv-cache-size"), Some(json!("8")), "the last one counts");
    assert_eq!(
        words("--kv-cache-size 98 --num-gpu-blocks-override 99").problems,
        ["--num-gpu-blocks-override 99: it means the same as --kv-cache-size, which is 98: give one"]
    );
}
