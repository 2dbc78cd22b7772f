//! Certificates, and clients that accept any.

use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{CertificateParams, DnType, KeyPair};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::PATIENCE;

/// A certificate and its key, as files.
pub(crate) struct Pair {
    dir: tempfile::TempDir,
}

impl Pair {
    pub(crate) fn new(common_name: &str) -> Self {
        let pair = Self { dir: tempfile::tempdir().expect("a directory") };
        let (cert, key) = make(common_name);
        std::fs::write(pair.cert(), cert).expect("written");
        std::fs::write(pair.key(), key).expect("written");
        pair
    }

    pub(crate) fn cert(&self) -> PathBuf {
        self.dir.path().join("tls.crt")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.path().join("tls.key")
    }

    /// The flags that make a server use it, before others.
    pub(crate) fn flags<'a>(&self, others: &[&'a str]) -> Vec<&'a str> {
        let leak = |path: &Path| -> &'static str {
            Box::leak(path.display().to_string().into_boxed_str())
        };
        let mut flags = vec!["--tls.cert", leak(&self.cert()), "--tls.key", leak(&self.key())];
        flags.extend_from_slice(others);
        flags
    }
}

/// A self-signed certificate and its key, in PEM.
pub(crate) fn make(common_name: &str) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, common_name);
    let cert = params.self_signed(&key).expect("a certificate");
    (cert.pem(), key.serialize_pem())
}

/// A client's settings, with these protocols to choose from.
pub(crate) fn client_config(alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// A TLS connection whose handshake is done.
pub(crate) type TlsClient = StreamOwned<ClientConnection, TcpStream>;

pub(crate) fn connect(address: SocketAddr, alpn: &[&[u8]]) -> TlsClient {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(client_config(alpn), name).expect("a session");
    let tcp = TcpStream::connect(address).expect("a connection");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    tcp.set_nodelay(true).expect("no delay");
    let mut client = StreamOwned::new(session, tcp);
    while client.conn.is_handshaking() {
        client.conn.complete_io(&mut client.sock).expect("a handshake");
    }
    client
}

/// The certificate that a server shows to a new connection.
pub(crate) fn shown_by(address: SocketAddr) -> Vec<u8> {
    let client = connect(address, &[b"http/1.1"]);
    client.conn.peer_certificates().expect("a certificate")[0].to_vec()
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
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
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
