//! Clients at their worst: what one asks, and what goes wrong with its connection, follows from a seed.

use std::net::SocketAddr;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A client that has its answer, or was cut off, takes no longer. One that waits longer hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// What happens to a connection.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Nothing,
    /// It ends after so many bytes of the request.
    CutWriting(usize),
    /// Nothing is sent for a while, after so many bytes of the request.
    StallWriting(usize, Duration),
    /// The request comes in small pieces.
    Trickle(usize),
    /// It ends after so many bytes of the answer.
    CutReading(usize),
    /// Nothing is read for a while, and then it ends.
    StallReading(Duration),
    /// The answer is read in small pieces.
    SipReading(usize),
    /// The client says that it will send nothing more, and reads on.
    HalfClosed,
}

/// Lives through one history with the server at `address`.
///
/// # Panics
/// If it does not end.
pub async fn live(address: SocketAddr, seed: u64) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let request = request(&mut rng);
    let fault = fault(&mut rng, request.len());
    let lived = timeout(LONGEST, suffer(address, &request, fault)).await;
    assert!(lived.is_ok(), "history {seed} with {fault:?} hangs: {}", String::from_utf8_lossy(&request));
}

/// What the client sees is not looked at: it may be cut off at any moment.
async fn suffer(address: SocketAddr, request: &[u8], fault: Fault) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let sent = match fault {
        Fault::CutWriting(at) => {
            let _ = stream.write_all(&request[..at]).await;
            return;
        }
        Fault::StallWriting(at, time) => {
            let begun = stream.write_all(&request[..at]).await;
            sleep(time).await;
            begun.and(stream.write_all(&request[at..]).await)
        }
        Fault::Trickle(piece) => trickle(&mut stream, request, piece).await,
        _ => stream.write_all(request).await,
    };
    if sent.is_err() {
        return;
    }
    if let Fault::HalfClosed = fault {
        let _ = stream.shutdown().await;
    }
    let (mut piece, mut left) = (vec![0; 64 << 10], usize::MAX);
    match fault {
        Fault::StallReading(time) => return sleep(time).await,
        Fault::CutReading(most) => left = most,
        Fault::SipReading(size) => piece.truncate(size),
        _ => {}
    }
    while let Ok(n @ 1..) = stream.read(&mut piece).await {
        left = left.saturating_sub(n);
        if left == 0 {
            return;
        }
        if let Fault::SipReading(_) = fault {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn trickle(stream: &mut TcpStream, request: &[u8], piece: usize) -> std::io::Result<()> {
    for piece in request.chunks(piece) {
        stream.write_all(piece).await?;
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn fault(rng: &mut Xoshiro256PlusPlus, length: usize) -> Fault {
    let mut pause = || Duration::from_millis(rng.random_range(1..400));
    let (short, long) = (pause(), pause());
    match rng.random_range(0..10) {
        0 => Fault::CutWriting(rng.random_range(0..length)),
        1 => Fault::StallWriting(rng.random_range(0..length), short),
        // Not of a large request, which would take minutes.
        2 => Fault::Trickle((length / 20).max(7)),
        3 => Fault::CutReading(rng.random_range(1..2000)),
        4 => Fault::StallReading(long),
        5 => Fault::SipReading(rng.random_range(200..2000)),
        6 => Fault::HalfClosed,
        _ => Fault::Nothing,
    }
}

/// A request, whole; its connection ends with its answer.
fn request(rng: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let prompt = |rng: &mut Xoshiro256PlusPlus, most: usize| -> String {
        (0..rng.random_range(1..most)).map(|_| format!("w{} ", rng.random_range(0..300))).collect()
    };
    let (path, body): (&str, Value) = match rng.random_range(0..14) {
        0 | 1 => {
            let n = rng.random_range(1..3);
            let more =
                json!({ "prompt": prompt(rng, 60), "max_tokens": rng.random_range(1..60), "n": n, "temperature": 1 });
            ("/v1/completions", more)
        }
        2..=4 => {
            let content = prompt(rng, 60);
            let body =
                json!({ "messages": [{ "role": "user", "content": content }], "stream": true, "max_tokens": 60 });
            ("/v1/chat/completions", body)
        }
        5 => {
            let ids: Vec<u32> = (0..rng.random_range(1..2_000)).map(|_| rng.random_range(0..1000)).collect();
            ("/v1/completions", json!({ "prompt": ids, "max_tokens": 3, "stream": rng.random_bool(0.5) }))
        }
        6 => {
            let body = json!({ "messages": [{ "role": "user", "content": prompt(rng, 20) }], "max_tokens": 40, "stream": true });
            ("/v1/messages", body)
        }
        7 => ("/v1/responses", json!({ "input": prompt(rng, 20), "stream": rng.random_bool(0.5) })),
        8 => {
            let parameters =
                json!({ "type": "object", "properties": { "x": { "type": "integer" } }, "required": ["x"] });
            let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": parameters } }]);
            let messages = json!([{ "role": "user", "content": "call" }]);
            (
                "/v1/chat/completions",
                json!({ "messages": messages, "tools": tools, "tool_choice": "required", "stream": true }),
            )
        }
        9 => (
            "/v1/load_lora_adapter",
            json!({ "lora_name": format!("a{}", rng.random_range(0..20)), "lora_path": "/p" }),
        ),
        10 => ("/v1/unload_lora_adapter", json!({ "lora_name": format!("a{}", rng.random_range(0..20)) })),
        11 => {
            let model = format!("a{}", rng.random_range(0..20));
            ("/v1/completions", json!({ "model": model, "prompt": prompt(rng, 30), "max_tokens": 20, "stream": true }))
        }
        12 => ("/tokenize", json!({ "prompt": prompt(rng, 3000) })),
        _ => ("/v1/embeddings", json!({ "input": [prompt(rng, 20), prompt(rng, 20)] })),
    };
    let mut body = body.to_string();
    if rng.random_ratio(1, 20) {
        body.truncate(body.len() / 2);
    }
    let method = if rng.random_ratio(1, 50) { "GET" } else { "POST" };
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n");
    if rng.random_ratio(1, 4) {
        // In chunks, one of which may be none.
        let (one, other) = body.split_at(body.floor_char_boundary(body.len() / 3));
        let end = if rng.random_ratio(1, 5) { "nonsense" } else { "0\r\n\r\n" };
        let chunks: String = [one, other]
            .into_iter()
            .filter(|chunk| !chunk.is_empty())
            .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
            .collect();
        return format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}{end}").into_bytes();
    }
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
