//! Plugins from a registry: pushed, fetched, kept, signed, and refused if they are not what they should be.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey, LineEnding};
use rehearsal_tests::{Server, examples, until};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::EXE;

/// Blobs and manifests by path, with their media types.
type Kept = Arc<Mutex<BTreeMap<String, (String, Bytes)>>>;

/// As much of a registry as pushing and pulling need, over HTTP.
struct Registry {
    host: String,
    kept: Kept,
    task: JoinHandle<()>,
}

impl Registry {
    async fn start() -> Self {
        let kept = Kept::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let app = Router::new().fallback(answer).with_state(kept.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { host, kept, task }
    }

    fn reference(&self) -> String {
        format!("{}/team/mine:1.0", self.host)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The user and the password that it wants.
const CREDENTIALS: &str = "ann:secret";

async fn answer(State(kept): State<Kept>, headers: HeaderMap, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let expected = format!("Basic {}", STANDARD.encode(CREDENTIALS));
    if headers.get(header::AUTHORIZATION).is_none_or(|given| given != expected.as_str()) {
        let asks = [(header::WWW_AUTHENTICATE, "Basic realm=\"registry\"")];
        return (StatusCode::UNAUTHORIZED, asks, "{}").into_response();
    }
    let digest = |bytes: &[u8]| {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    };
    let query = request.uri().query().unwrap_or_default().replace("%3A", ":");
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let mut kept = kept.lock().unwrap();
    let upload = |status: StatusCode, path: &str, n_bytes: usize| {
        let range = format!("0-{}", n_bytes.saturating_sub(1));
        (status, [(header::LOCATION, path.to_owned()), (header::RANGE, range)]).into_response()
    };
    match method {
        Method::POST => upload(StatusCode::ACCEPTED, &format!("{path}upload"), 0),
        Method::PATCH => {
            let (_, before) = kept.remove(&path).unwrap_or_default();
            let whole = Bytes::from([before, body].concat());
            let n_bytes = whole.len();
            kept.insert(path.clone(), (String::new(), whole));
            upload(StatusCode::ACCEPTED, &path, n_bytes)
        }
        Method::PUT if path.contains("/uploads/") => {
            let (_, before) = kept.remove(&path).unwrap_or_default();
            let whole = Bytes::from([before, body].concat());
            assert!(query.contains(&digest(&whole)), "{query}");
            let place = path.replace("/uploads/upload", &format!("/{}", digest(&whole)));
            kept.insert(place.clone(), (String::new(), whole));
            upload(StatusCode::CREATED, &place, 0)
        }
        Method::PUT => {
            let by_digest = format!("{}/{}", path.rsplit_once('/').unwrap().0, digest(&body));
            for place in [path.clone(), by_digest] {
                kept.insert(place, (media_type.clone(), body.clone()));
            }
            upload(StatusCode::CREATED, &path, 0)
        }
        _ => match kept.get(&path) {
            None if path == "/v2/" => "{}".into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
            Some((media_type, body)) => {
                let told = [(header::CONTENT_TYPE, media_type.clone()), (header::ETAG, String::new())];
                let of_content = [("docker-content-digest", digest(body))];
                (told, of_content, body.clone()).into_response()
            }
        },
    }
}

/// Runs the program where Docker's configuration has the credentials for `registry`, and components are kept in `home`.
async fn run(args: &[&str], registry: &str, home: &Path) -> Output {
    let docker = json!({ "auths": { registry: { "auth": STANDARD.encode(CREDENTIALS) } } });
    std::fs::write(home.join("config.json"), docker.to_string()).unwrap();
    let mut command = Command::new(EXE);
    command.args(args).env("DOCKER_CONFIG", home).env("XDG_CACHE_HOME", home).env_remove("HTTP_PROXY");
    command.output().await.unwrap()
}

/// Exit code and everything it said.
async fn said(args: &[&str], registry: &str, home: &Path) -> (Option<i32>, String) {
    let output = run(args, registry, home).await;
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// What `check` says of a server with the plugin from there.
async fn checked(plugin: &str, more: &[&str], registry: &str, home: &Path) -> (Option<i32>, String) {
    let plugin = format!("mine=oci://{plugin}");
    let args = [&["check", "--model", "m", "--mode", "mine", "--plugin", &plugin], more].concat();
    said(&args, registry, home).await
}

#[tokio::test]
async fn a_component_is_pushed_fetched_and_kept() {
    let (registry, home) = (Registry::start().await, tempfile::tempdir().unwrap());
    let (code, pushed) =
        said(&["plugin", "push", examples::SHOUT, &registry.reference()], &registry.host, home.path()).await;
    assert_eq!(code, Some(0), "{pushed}");
    let pinned = pushed.trim().strip_prefix("pushed oci://").unwrap().to_owned();
    assert!(pinned.contains("@sha256:"), "{pinned}");
    let manifest = registry.kept.lock().unwrap()["/v2/team/mine/manifests/1.0"].1.clone();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    let config = format!("/v2/team/mine/blobs/{}", manifest["config"]["digest"].as_str().unwrap());
    let config: serde_json::Value = serde_json::from_slice(&registry.kept.lock().unwrap()[&config].1).unwrap();
    assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
    assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
    let exports = config["component"]["exports"].as_array().unwrap();
    assert!(exports.contains(&json!("rehearsal:strategy/generator@0.1.1")), "{exports:?}");

    for reference in [&registry.reference(), &pinned] {
        let (code, said) = checked(reference, &[], &registry.host, home.path()).await;
        assert_eq!(code, Some(0), "{reference}: {said}");
    }
    let (code, said) = checked(&format!("{}/team/other:1", registry.host), &[], &registry.host, home.path()).await;
    assert!(code == Some(2) && said.contains("plugin \"mine\": oci://127.0.0.1:"), "{said}");
    let other_home = tempfile::tempdir().unwrap();
    let (code, said) = checked(&registry.reference(), &[], "another:5000", other_home.path()).await;
    assert!(code == Some(2) && said.to_lowercase().contains("auth"), "without credentials: {said}");

    // The registry is gone.
    let (reference, host) = (registry.reference(), registry.host.clone());
    drop(registry);
    let (code, said) = checked(&pinned, &[], &host, home.path()).await;
    assert_eq!((code, said.contains("cannot be reached")), (Some(0), false), "{said}");
    let (code, said) = checked(&reference, &[], &host, home.path()).await;
    assert_eq!((code, said.contains("cannot be reached: what was fetched before serves")), (Some(0), true), "{said}");
    let (code, said) = checked(&reference, &[], &host, other_home.path()).await;
    assert!(code == Some(2) && said.contains("oci://127.0.0.1:"), "nothing was fetched before: {said}");

    // With tag and digest it is the same, and asks no network either.
    let both = format!("{reference}@{}", pinned.split_once('@').unwrap().1);
    let (code, said) = checked(&both, &[], &host, home.path()).await;
    assert_eq!((code, said.contains("cannot be reached")), (Some(0), false), "{said}");

    // What is not whole any more is as if it had not been fetched.
    std::fs::write(kept_component(home.path()), std::fs::read(examples::FLAKY).unwrap()).unwrap();
    let (code, said) = checked(&pinned, &[], &host, home.path()).await;
    assert!(code == Some(2) && said.contains("oci://127.0.0.1:"), "{said}");
}

/// The only component that is kept.
fn kept_component(home: &Path) -> std::path::PathBuf {
    let kept = std::fs::read_dir(home.join("rehearsal/plugins")).unwrap().map(|entry| entry.unwrap().path());
    let mut components = kept.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    let component = components.next().unwrap();
    assert!(components.next().is_none(), "it is kept once");
    component
}

#[tokio::test]
async fn what_is_damaged_is_fetched_again_and_what_is_endless_is_given_up() {
    let (registry, home) = (Registry::start().await, tempfile::tempdir().unwrap());
    let pushed = run(&["plugin", "push", examples::SHOUT, &registry.reference()], &registry.host, home.path()).await;
    let pinned = String::from_utf8(pushed.stdout).unwrap().trim().strip_prefix("pushed oci://").unwrap().to_owned();
    assert_eq!(checked(&pinned, &[], &registry.host, home.path()).await.0, Some(0));
    std::fs::write(kept_component(home.path()), "").unwrap();
    let (code, said) = checked(&pinned, &[], &registry.host, home.path()).await;
    assert_eq!(code, Some(0), "{said}");
    for (place, (_, bytes)) in registry.kept.lock().unwrap().iter_mut() {
        if place.contains("/blobs/") && bytes.starts_with(b"\0asm") {
            *bytes = Bytes::from(vec![0; 65 << 20]);
        }
    }
    std::fs::write(kept_component(home.path()), "").unwrap();
    let (code, said) = checked(&pinned, &[], &registry.host, home.path()).await;
    assert!(code == Some(2) && said.contains("its component has more than 67108864 bytes"), "{said}");
}

#[tokio::test]
async fn a_registry_that_hands_out_something_else_is_found_out() {
    let (registry, home) = (Registry::start().await, tempfile::tempdir().unwrap());
    let pushed = run(&["plugin", "push", examples::SHOUT, &registry.reference()], &registry.host, home.path()).await;
    assert!(pushed.status.success());
    let other = Bytes::from(std::fs::read(examples::FLAKY).unwrap());
    for (place, (_, bytes)) in registry.kept.lock().unwrap().iter_mut() {
        if place.contains("/blobs/") && bytes.starts_with(b"\0asm") {
            *bytes = other.clone();
        }
    }
    let (code, said) = checked(&registry.reference(), &[], &registry.host, home.path()).await;
    assert!(code == Some(2) && said.to_lowercase().contains("digest"), "{said}");
}

/// A key, and the file of its public half.
fn key(folder: &Path, name: &str, seed: u8) -> (SigningKey, String) {
    let key = SigningKey::from_slice(&[seed; 32]).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()).unwrap();
    (key, path.to_str().unwrap().to_owned())
}

/// As `cosign sign-blob` writes it.
fn sign(component: &Path, key: &SigningKey) {
    let signature: Signature = key.sign(&std::fs::read(component).unwrap());
    let path = format!("{}.sig", component.display());
    std::fs::write(path, STANDARD.encode(signature.to_der()) + "\n").unwrap();
}

#[tokio::test]
async fn with_a_key_only_what_is_signed_with_it_is_loaded() {
    let (registry, home) = (Registry::start().await, tempfile::tempdir().unwrap());
    let (mine, my_key) = key(home.path(), "mine.pub", 7);
    let (_, other_key) = key(home.path(), "other.pub", 8);
    let component = home.path().join("shout.wasm");
    std::fs::copy(examples::SHOUT, &component).unwrap();
    let plugin = format!("mine={}", component.display());
    let check = async |key: &str| {
        let args = ["check", "--model", "m", "--mode", "mine", "--plugin", &plugin, "--plugin-key", key];
        said(&args, &registry.host, home.path()).await
    };
    let (code, told) = check(&my_key).await;
    assert!(code == Some(2) && told.contains("it has to be signed, and cannot read "), "{told}");
    sign(&component, &mine);
    let (code, told) = check(&my_key).await;
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = check(&other_key).await;
    assert!(code == Some(2) && told.contains("is not of this component by the key that is asked for"), "{told}");

    // A signature travels with its component.
    let component = component.to_str().unwrap();
    let (code, told) = said(&["plugin", "push", component, &registry.reference()], &registry.host, home.path()).await;
    assert!(code == Some(0) && told.contains(", with its signature"), "{told}");
    let (code, told) = checked(&registry.reference(), &["--plugin-key", &my_key], &registry.host, home.path()).await;
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = checked(&registry.reference(), &["--plugin-key", &other_key], &registry.host, home.path()).await;
    assert!(code == Some(2) && told.contains("is not of this component"), "{told}");

    // And nothing else is loaded while the server runs.
    let args = ["--model", "m", "--mode", "mine", "--plugin", &plugin, "--plugin-key", &my_key, "--watch-plugins"];
    let server = Server::start(EXE, &args).await;
    std::fs::copy(examples::FLAKY, component).unwrap();
    let error = until("it is refused", async || {
        let list = server.get("/rehearsal/plugins").await.json;
        let mine = list["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "mine").cloned();
        mine.unwrap()["last_reload"]["error"].as_str().map(str::to_owned)
    })
    .await;
    assert!(error.contains("is not of this component by the key"), "{error}");
    std::fs::write(home.path().join("odd.pub"), "no key").unwrap();
    let (code, told) = check(home.path().join("odd.pub").to_str().unwrap()).await;
    assert!(
        code == Some(2) && told.contains("plugin-key: ") && told.contains("it is no public key on P-256"),
        "{told}"
    );
}
