//! TLS for probes. Certificates are not looked at unless the check asks for it, as the older tools do: a check asks
//! whether a real server serves, and real servers often carry the name of the virtual service only.

use evenkeel_health::{Phase, Reason, printable};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use std::{
    io,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Settings shared by all attempts, each made when first needed.
#[derive(Debug)]
pub(crate) struct Settings {
    roots: PathBuf,
    lenient: OnceLock<Result<Arc<ClientConfig>, String>>,
    strict: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Settings {
    pub(crate) fn new(roots: PathBuf) -> Settings {
        Settings { roots, lenient: OnceLock::new(), strict: OnceLock::new() }
    }

    fn config(&self, verify: bool) -> &Result<Arc<ClientConfig>, String> {
        if verify {
            self.strict.get_or_init(|| strict(&self.roots))
        } else {
            self.lenient.get_or_init(|| config(Arc::new(AcceptAny)))
        }
    }
}

/// The TLS handshake on `stream`.
pub(crate) async fn handshake(
    stream: TcpStream,
    server_name: Option<&str>,
    verify: bool,
    target: IpAddr,
    settings: &Settings,
) -> Result<TlsStream<TcpStream>, Reason> {
    let config = settings.config(verify).as_ref().map_err(|text| Reason::NotStarted(text.clone()))?;
    // An address as name sends no SNI (RFC 6066 3).
    let name = match server_name {
        None => ServerName::IpAddress(target.into()),
        Some(name) => ServerName::try_from(name.to_owned())
            .map_err(|_| Reason::NotStarted(format!("\"{}\" is no name for TLS", printable(name))))?,
    };
    // What a handshake writes last must not wait until the other side has acknowledged what came before. A plain request
    // is written once.
    stream.set_nodelay(true).map_err(|error| failure(&error, target))?;
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|error| failure(&error, target))
}

/// What an error of a TLS stream says.
pub(crate) fn failure(error: &io::Error, target: IpAddr) -> Reason {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => Reason::Tls(printable(&tls.to_string())),
        None => crate::connect::failure(error, target, Reason::Closed { phase: Phase::Tls }),
    }
}

fn config(verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, String> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Every attempt is to prove that a whole handshake works, and thousands of targets are to leave no sessions.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn strict(roots: &PathBuf) -> Result<Arc<ClientConfig>, String> {
    let unreadable = |why: String| format!("root certificates in {} cannot be read: {why}", roots.display());
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(roots).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        // Hosts carry a few roots that are too old for the verifier; the others still serve.
        let _too_old = store.add(certificate);
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider())
        .build()
        .map_err(|error| unreadable(error.to_string()))?;
    config(verifier)
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

/// Takes every certificate.
#[derive(Debug)]
struct AcceptAny;

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
