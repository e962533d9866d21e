use super::*;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::path::Path;
use tokio_rustls::TlsAcceptor;

/// A certificate of www.example.com, signed by `ROOT`, and its key; made for these tests, valid for a hundred years.
const SERVER: &[u8] = include_bytes!("certificates/server.pem");
const KEY: &[u8] = include_bytes!("certificates/server.key");
const ROOT: &str = "src/tests/certificates/root.pem";

fn settings() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(SERVER).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

/// A TLS server that answers with the server name it was sent.
async fn tls_server() -> SocketAddr {
    let acceptor = TlsAcceptor::from(settings());
    server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let name = format!("name: {}", stream.get_ref().1.server_name().unwrap_or("none"));
            let mut request = [0; 1024];
            let _length = stream.read(&mut request).await.unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _gone = stream.shutdown().await;
        }
    })
    .await
}

fn https(target: SocketAddr, server_name: Option<&str>) -> Http {
    Http { tls: true, server_name: server_name.map(str::to_owned), ..get(target) }
}

async fn trusting(roots: &str, http: Http) -> Verdict {
    let roots = Path::new(env!("CARGO_MANIFEST_DIR")).join(roots);
    Prober::with_roots(roots).attempt(&Probe::Http(http), LONG).await
}

#[test]
fn a_certificate_is_not_looked_at_unless_asked() {
    run(async {
        let target = tls_server().await;
        for (name, body) in
            [(Some("other.example"), "name: other.example"), (None, "name: none"), (Some("10.0.0.1"), "name: none")]
        {
            let body = Body::PerlRegex(format!("^{body}$"));
            let verdict = attempt(&Probe::Http(Http { body, ..https(target, name) }), LONG).await;
            assert!(verdict.is_good(), "{verdict}");
        }
    });
}

#[test]
fn a_certificate_is_verified_when_asked() {
    run(async {
        let target = tls_server().await;
        let verify = |name| Http { verify: true, ..https(target, Some(name)) };
        assert!(trusting(ROOT, verify("www.example.com")).await.is_good());
        let why = trusting(ROOT, verify("other.example")).await.to_string();
        assert!(why.starts_with("TLS: invalid peer certificate: certificate not valid for name"), "{why}");
        // The server's own certificate is no root of itself.
        let why = trusting("src/tests/certificates/none.pem", verify("www.example.com")).await.to_string();
        assert!(why.starts_with("check cannot be made: root certificates in "), "{why}");
    });
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_refused_when_asked() {
    run(async {
        if !Path::new(ROOTS).exists() {
            println!("skipped: needs {ROOTS}");
            return;
        }
        let target = tls_server().await;
        let http = Http { verify: true, ..https(target, Some("www.example.com")) };
        let why = attempt(&Probe::Http(http), LONG).await.to_string();
        assert_eq!(why, "TLS: invalid peer certificate: UnknownIssuer");
    });
}

#[test]
fn a_server_that_speaks_no_tls_is_bad() {
    run(async {
        let target = answering("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        // What the client sends is no request, so this server answers at its first bytes.
        let plain = server(|mut stream| async move {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            let mut sink = Vec::new();
            let _gone = stream.read_to_end(&mut sink).await;
        })
        .await;
        let why = reason(attempt(&Probe::Http(https(plain, None)), LONG).await);
        assert!(matches!(why, Reason::Tls(_)), "{why:?}");
        let closing = server(|stream| async move { drop(stream) }).await;
        let why = reason(attempt(&Probe::Http(https(closing, None)), LONG).await);
        assert_eq!(why, Reason::Closed { phase: Phase::Tls });
        let why = reason(attempt(&Probe::Http(https(silent().await, None)), SHORT).await);
        assert_eq!(why, Reason::Timeout { phase: Phase::Tls, after: SHORT });
        let why = reason(attempt(&Probe::Http(https(target, Some("no name"))), LONG).await);
        assert_eq!(why, Reason::NotStarted("\"no name\" is no name for TLS".into()));
    });
}
