//! Which requests are admitted, and how they get here: keys, origins, certificates, sockets, HTTP/2; with curl.

use std::process::Command;

use rehearsal_tests::{Server, until};

use crate::languages::is_here;
use crate::{EXE, serve};

/// What `curl` prints for `args`; its exit code too.
async fn curl(args: &[&str]) -> (String, Option<i32>) {
    let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = move || Command::new("curl").args(["-s", "-S", "-i", "--max-time", "10"]).args(args).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&printed).to_lowercase(), output.status.code())
}

#[tokio::test]
async fn keys_guard_the_api_and_not_the_probes() {
    let server =
        Server::start_with_env(EXE, &["--model", "m", "--api-key", "k1", "k 2"], &[("VLLM_API_KEY", "k3")]).await;
    let get = async |path: &str, authorization: &str| {
        let request = server.http.get(format!("{}{path}", server.url)).header("authorization", authorization);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for (path, authorization, status) in [
        ("/v1/models", "Bearer k1", 200),
        ("/v1/models", "bearer k 2", 200),
        ("/v1/models", "Bearer k3", 401),
        ("/v1/models", "Bearer K1", 401),
        ("/v1/models", "Bearer  k1", 401),
        ("/v1/models", "Basic k1", 401),
        ("/v1/models", "k1", 401),
        ("/v1/no-such-path", "", 401),
        ("/rehearsal/plugins", "", 401),
        ("/rehearsal/plugins", "Bearer k1", 200),
        // In browsers it is a password.
        ("/rehearsal", "Basic YW55Omsx", 200),
        ("/rehearsal", "Basic YW55Om5v", 401),
        ("/rehearsal", "Basic k1", 401),
        ("/v1/models", "Basic YW55Omsx", 401),
        ("/health", "", 200),
        ("/metrics", "", 200),
        ("/version", "", 200),
    ] {
        let (found, text) = get(path, authorization).await;
        assert_eq!(found, status, "{path} with {authorization:?}: {text}");
        if status == 401 {
            assert_eq!(text, r#"{"error":"Unauthorized"}"#);
        }
    }
    let from_env = Server::start_with_env(EXE, &["--model", "m"], &[("VLLM_API_KEY", "k3")]).await;
    assert_eq!(from_env.get("/v1/models").await.status, 401);
}

#[tokio::test]
async fn a_browser_learns_what_it_may_do() {
    if !is_here("curl") {
        return;
    }
    let server = serve(r#"--allowed-origins ["https://app.example"] --api-key k"#).await;
    let url = format!("{}/v1/chat/completions", server.url);
    let preflight = async |origin: &str| {
        let origin = format!("Origin: {origin}");
        let method = "Access-Control-Request-Method: POST";
        let headers = "Access-Control-Request-Headers: authorization,content-type";
        curl(&["-X", "OPTIONS", "-H", &origin, "-H", method, "-H", headers, &url]).await.0
    };
    let allowed = preflight("https://app.example").await;
    for line in [
        "http/1.1 200 ok",
        "access-control-allow-origin: https://app.example",
        "access-control-allow-methods: post",
        "access-control-allow-headers: authorization,content-type",
        "access-control-max-age: 600",
    ] {
        assert!(allowed.contains(line), "{line}: {allowed}");
    }
    assert!(!preflight("https://evil.example").await.contains("access-control-allow-origin"));
    let models = format!("{}/v1/models", server.url);
    let answer = curl(&["-H", "Origin: https://app.example", "-H", "Authorization: Bearer k", &models]).await.0;
    assert!(answer.contains("access-control-allow-origin: https://app.example"), "{answer}");
    // Without the flag, no page of another origin may read anything.
    let closed = serve("").await;
    let answer = curl(&["-H", "Origin: https://app.example", &format!("{}/v1/models", closed.url)]).await.0;
    assert!(!answer.contains("access-control"), "{answer}");
}

/// A certificate for `localhost`, its key, and the authority that signed it, as PEM files in `folder`.
fn certificates(folder: &std::path::Path) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    // Else both would have rcgen's own name, and the certificate would look as if it had signed itself.
    authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertifiedIssuer::self_signed(authority, authority_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
}

#[tokio::test]
async fn connections_can_be_encrypted() {
    if !is_here("curl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
    let args = ["--model", "m", "--ssl-certfile", &cert, "--ssl-keyfile", &key, "--enable-ssl-refresh"];
    let server = Server::start(EXE, &args).await;
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let url = format!("{}/version", server.url);
    let (known, _) = curl(&["--cacert", &ca, &url]).await;
    assert!(known.starts_with("http/2 200") && known.contains("0.33.0"), "by ALPN: {known}");
    let (older, _) = curl(&["--cacert", &ca, "--http1.1", &url]).await;
    assert!(older.starts_with("http/1.1 200"), "{older}");
    let (_, unknown) = curl(&[&url]).await;
    assert_eq!(unknown, Some(60), "curl does not trust an unknown authority");
    // A new authority, key and certificate are taken over.
    certificates(folder.path());
    let trusts = async || (curl(&["--cacert", &ca, &url]).await.1 == Some(0)).then_some(());
    until("it has the new certificate", trusts).await;

    let args =
        ["--model", "m", "--ssl-certfile", &cert, "--ssl-keyfile", &key, "--ssl-ca-certs", &ca, "--ssl-cert-reqs", "2"];
    let strict = Server::start(EXE, &args).await;
    let url = format!("{}/version", strict.url);
    assert_ne!(curl(&["--cacert", &ca, &url]).await.1, Some(0), "without a certificate of its own");
    assert_eq!(curl(&["--cacert", &ca, "--cert", &cert, "--key", &key, &url]).await.1, Some(0));

    let self_signed = serve("--self-signed-certs").await;
    let (answer, code) = curl(&["-k", &format!("{}/version", self_signed.url)]).await;
    assert_eq!(code, Some(0), "{answer}");
    let strict = serve(&format!("--self-signed-certs --ssl-ca-certs {ca} --ssl-cert-reqs 2")).await;
    let url = format!("{}/version", strict.url);
    assert_ne!(curl(&["-k", &url]).await.1, Some(0), "without a certificate of the client's");
    assert_eq!(curl(&["-k", "--cert", &cert, "--key", &key, &url]).await.1, Some(0));
    std::fs::write(&cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let broken = Server::refused(EXE, &["--model", "m", "--ssl-certfile", &cert, "--ssl-keyfile", &key]).await;
    assert!(broken.stderr.contains("ssl-certfile: a broken one is in "), "{}", broken.stderr);
}

#[tokio::test]
async fn http_2_needs_no_certificate() {
    if !is_here("curl") {
        return;
    }
    let server = serve("").await;
    let (answer, _) = curl(&["--http2-prior-knowledge", &format!("{}/version", server.url)]).await;
    assert!(answer.starts_with("http/2 200"), "{answer}");
}

#[tokio::test]
async fn a_unix_socket_is_as_good_as_a_port() {
    if !is_here("curl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s").to_str().unwrap().to_owned();
    let server = Server::start(EXE, &["--model", "m", "--uds", &path]).await;
    assert_eq!(server.url, format!("unix:{path}"));
    let body = r#"{"prompt": "hi"}"#;
    let args =
        ["--unix-socket", &path, "http://localhost/v1/completions", "-H", "content-type: application/json", "-d", body];
    let (answer, _) = curl(&args).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    let second = Server::refused(EXE, &["--model", "m", "--uds", &path]).await;
    assert!(second.stderr.contains(&format!("cannot listen on {path}")), "{}", second.stderr);
    assert_eq!(server.terminate().await, Some(0));
    assert!(!std::path::Path::new(&path).exists(), "it is removed at the end");
}

#[tokio::test]
async fn a_server_listens_on_ipv6() {
    let server = Server::start(EXE, &["--model", "m", "--host", "::1"]).await;
    assert!(server.url.starts_with("http://[::1]:"), "{}", server.url);
    assert_eq!(server.get("/version").await.status, 200);
}
