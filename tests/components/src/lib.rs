//! A guest that does what its prompt tells it, so that a test can see what the host makes of it.

use rehearsal_sdk::{
    ApiError, CallError, Completion, Content, Description, Generator, Plugin, Request, SplitText, export, log, state,
};
use serde_json::Value;

/// The plugin. Its configuration may tell it to misbehave before it has a prompt.
pub struct Misbehave {
    /// Whether it loses count of many choices.
    is_forgetful: bool,
}

impl Plugin for Misbehave {
    type Config = Value;

    fn describe() -> Description {
        let facts = ["arrival-ms", "load", "adapter", "rank", "trace", "cached-tokens"];
        Description::new("misbehave", env!("CARGO_PKG_VERSION"), "does what its prompt says")
            .needing(["header:x-tenant-*", "raw-body"])
            .needing(facts.map(|fact| format!("extras:{fact}")))
    }

    fn new(config: Value) -> Result<Self, String> {
        match config.to_string().as_str() {
            r#"{"init":"refuse"}"# => Err("this configuration will not do".into()),
            r#"{"init":"panic"}"# => {
                println!("about to read {config}");
                log::log(log::Level::Warn, "this will not go well");
                panic!("no configuration will do")
            }
            r#"{"init":"spin"}"# => spin(),
            r#"{"answers":"forgetful"}"# => Ok(Self { is_forgetful: true }),
            _ => Ok(Self { is_forgetful: false }),
        }
    }
}

fn spin() -> ! {
    loop {
        std::hint::black_box(0);
    }
}

impl Generator for Misbehave {
    fn generate(&self, request: &Request) -> Result<Completion, CallError> {
        let prompt = request.last_user_text();
        if self.is_forgetful && request.choice_index == 5 {
            panic!("what was the question?");
        }
        let answer = match prompt.as_ref() {
            "panic" => panic!("guest says no"),
            "exit" => std::process::exit(3),
            "spin" => spin(),
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_secs(3600));
                "slept".into()
            }
            "grow" => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                loop {
                    hoard.push(vec![1; 1 << 20]);
                    std::hint::black_box(&hoard);
                }
            }
            "return 32 MiB" => "x".repeat(32 << 20),
            "flood" => {
                for line in 0..200_000 {
                    println!("line {line} of a flood that was not asked for");
                    log::log(log::Level::Info, "and as much in the log");
                }
                "flooded".into()
            }
            "chatter" => {
                (0..90).for_each(|_| log::log(log::Level::Info, "so to say"));
                "said it all".into()
            }
            "split a character" => return Ok(split("né", &[2, 3])),
            "go back" => return Ok(split("four", &[3, 2, 4])),
            "stop short" => return Ok(split("four", &[1])),
            "think" => {
                return Ok(Completion::text("Two.").with_reasoning("Let me see. "));
            }
            "be sure" => {
                let top = r#"[-0.25, {"logprob": -0.5, "top": [[102, -3], [101, -2]]}]"#;
                let thought = Completion::pieces(["a", "b", "c"]).with_reasoning("Hm");
                return Ok(thought.with_extra("logprobs", format!("[null, {}", &top[1..])));
            }
            "be too sure" => return Ok(Completion::text("a").with_logprobs(&[0.5])),
            "internal" => return Err(CallError::Internal("out of ideas".into())),
            "reject" => return Err(reject()),
            "reject with 200" => return Err(CallError::reject(200, "no error at all")),
            "look around" => look_around(),
            "count" => state::increment("calls", 1).to_string(),
            "lock" => {
                let is_free = state::compare_and_swap("lock", None, request.id.as_bytes()).unwrap();
                if is_free && state::expire("lock", 2_000) { "mine".into() } else { "taken".into() }
            }
            "up to 2" => format!("{:?}", state::add_within("few", 1, 0, 2)),
            "extras" => format!("{:?} {:?} {:?}", request.extras, request.load(), request.arrival_ms()),
            "keys" => state::keys("").join(" "),
            "headers" => format!("{:?}", request.headers),
            "raw body" => request.raw_body.clone().unwrap_or_default(),
            other => other.to_owned(),
        };
        Ok(Completion::text(answer))
    }
}

fn split(text: &str, ends: &[u32]) -> Completion {
    let content = Content::Split(SplitText { text: text.into(), ends: ends.into() });
    Completion { content: Some(content), ..Completion::text("") }
}

fn reject() -> CallError {
    let error = ApiError::new(429, "not so fast").with_kind("tokens").with_code("rate_limit_exceeded");
    CallError::Reject(error.with_header("retry-after", "7").with_header("content-length", "3"))
}

/// What a guest can find out about the world: nothing that is not in its request.
fn look_around() -> String {
    let files = std::fs::read_dir("/").map(|_| ()).map_err(|_| "no files");
    let network = std::net::TcpStream::connect("127.0.0.1:80").map(|_| ()).map_err(|_| "no network");
    let variables = std::env::vars().count();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let random = {
        use std::hash::{BuildHasher, Hasher};
        std::collections::hash_map::RandomState::new().build_hasher().finish()
    };
    format!("{files:?} {network:?} {variables} {now} {random}")
}

export!(Misbehave: generator);
