//! Starts that must fail: exit code 2, every problem, and nothing else.

use rehearsal_tests::{MISBEHAVE, Server};

use crate::{EXE, limits};

#[tokio::test]
async fn all_problems_of_the_configuration_are_printed() {
    let refusal = Server::refused(EXE, &["--max-num-seqs", "0", "--time-to-first-token", "soon"]).await;
    assert_eq!(refusal.code, Some(2));
    for problem in ["model: a model name is required", "max-num-seqs: \"0\"", "time-to-first-token: \"soon\""] {
        assert!(refusal.stderr.contains(problem), "{}", refusal.stderr);
    }
}

#[tokio::test]
async fn a_mode_that_is_no_plugin_is_named_beside_those_that_are() {
    let refusal = Server::refused(EXE, &["--model", "m", "--mode", "ecco"]).await;
    assert_eq!(refusal.code, Some(2));
    assert!(refusal.stderr.contains(r#"mode: "ecco" is no plugin that generates; known are echo, random"#));
}

#[tokio::test]
async fn plugins_that_cannot_serve_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let component = std::fs::read(MISBEHAVE).unwrap();
    std::fs::write(path("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    std::fs::write(path("other.wasm"), speaking_another_version(component)).unwrap();
    let refusal = Server::refused(
        EXE,
        &[
            "--model",
            "m",
            "--plugin",
            &format!("core={}", path("core.wasm")),
            &format!("other={}", path("other.wasm")),
            &format!("refuses={MISBEHAVE}"),
            &format!("panics={MISBEHAVE}"),
            "--config",
            &limits("spins", "wall: 60s"),
            "--plugin-config",
            r#"refuses={"init":"refuse"}"#,
            r#"panics={"init":"panic"}"#,
            r#"spins={"init":"spin"}"#,
        ],
    )
    .await;
    assert_eq!(refusal.code, Some(2));
    for problem in [
        r#"plugin "core": this is a core module, not a component: build it for wasm32-wasip2"#,
        r#"plugin "other": it was built for rehearsal:strategy/"#,
        r#"@0.9.1, this server speaks 0.1.1"#,
        r#"plugin "refuses": it refused its configuration: this configuration will not do"#,
        r#"plugin "panics": the trial of init failed: plugin "panics" crashed: panicked at "#,
        "no configuration will do",
        r#"plugin "spins": the trial of init failed: plugin "spins" ran longer than 200 ms, its limits.cpu"#,
    ] {
        assert!(refusal.stderr.contains(problem), "{problem} is missing in {}", refusal.stderr);
    }
}

/// The names keep their length, so the component stays one.
fn speaking_another_version(mut component: Vec<u8>) -> Vec<u8> {
    let name = b"rehearsal:strategy/";
    let mut at = 0;
    while let Some(found) = component[at..].windows(name.len()).position(|window| window == name) {
        at += found + name.len();
        if let Some(version) = component[at..].windows(6).take(40).position(|window| window == b"@0.1.1") {
            component[at + version + 3] = b'9';
        }
    }
    component
}

#[tokio::test]
async fn a_port_in_use_is_an_error_of_its_own() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refusal = Server::refused(EXE, &["--model", "m", "--port", &port]).await;
    assert_eq!(refusal.code, Some(1));
    assert!(refusal.stderr.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{}", refusal.stderr);
}
