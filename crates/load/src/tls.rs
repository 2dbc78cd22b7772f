//! TLS of the client's side: whom it trusts, what it calls the server, and the handshake.

use std::{fmt, io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, CertificateError, ClientConfig, DigitallySignedStruct, InvalidMessage, RootCertStore,
        SignatureScheme,
        client::{
            Resumption, WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            verify_server_name,
        },
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
        server::ParsedCertificate,
    },
};

use super::failure::{Failure, FailureKind, HandshakeFailure};

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Whose certificates are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that this system trusts.
    System,
    /// Those of these authorities and of nobody else, or one of these certificates itself.
    Only(Vec<CertificateDer<'static>>),
    /// Anybody's: nothing is verified.
    Anybody,
}

impl Trust {
    /// The authorities in a PEM file, instead of the system's.
    ///
    /// # Errors
    /// Where it holds no certificate, or something that is none.
    pub fn only(pem: &[u8]) -> Result<Self, TlsError> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError::Certificate(error.to_string()))?;
        let trust = Self::Only(certificates);
        trust.roots().map(|_| trust)
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::System => {
                let found = rustls_native_certs::load_native_certs();
                // Some of a system's are always malformed, or expired long ago.
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    let why = found.errors.first().map(ToString::to_string);
                    return Err(TlsError::NoSystemAuthorities(
                        why.unwrap_or_else(|| "it has none".to_owned()),
                    ));
                }
            }
            Self::Only(certificates) => {
                for certificate in certificates {
                    roots
                        .add(certificate.clone())
                        .map_err(|error| TlsError::Certificate(error.to_string()))?;
                }
                if roots.is_empty() {
                    let problem = "there is no CERTIFICATE section in it".to_owned();
                    return Err(TlsError::Certificate(problem));
                }
            }
            Self::Anybody => {}
        }
        Ok(roots)
    }
}

/// Why TLS cannot be spoken as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// What should be certificates is something else.
    #[error("it holds no usable certificate in PEM: {0}")]
    Certificate(String),
    /// The system has no list of authorities, or none that can be read.
    #[error("no certificate authority that this system trusts can be read: {0}")]
    NoSystemAuthorities(String),
    /// Neither a name in DNS nor an address.
    #[error(
        "`{0}` is not a server's name: write a name in DNS, such as www.example.org, or an address"
    )]
    ServerName(String),
    /// rustls cannot.
    #[error("TLS cannot be set up: {0}")]
    SetUp(String),
}

/// How a run speaks TLS.
///
/// Every connection makes a whole handshake: none is resumed, so that what a handshake costs the
/// server is paid as often as connections are made, and no pod is asked for another one's session.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// With a server of this name, which its certificate has to be for. A name is sent to the server
    /// (SNI), an address is not.
    ///
    /// # Errors
    /// Where the name is none, or nobody would be trusted.
    pub fn new(trust: &Trust, name: &str) -> Result<Self, TlsError> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::ServerName(name.to_owned()))?;
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::SetUp(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier(trust, provider)?);
        let mut config = config.with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), name })
    }

    /// Makes the handshake of a connection that speaks HTTP/1.1.
    ///
    /// # Errors
    /// What was wrong with it, in words.
    pub async fn secure(
        &self,
        socket: TcpStream,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>> {
        let stream = self.offering(Offer::Http1).handshake(socket).await;
        stream.map_err(|failure| io::Error::other(failure.text))
    }

    /// With what a stream of the mix offers to speak.
    pub(super) fn offering(&self, offer: Offer) -> Session {
        let mut config = ClientConfig::clone(&self.config);
        let protocols: &[&[u8]] = match offer {
            Offer::Http1 => &[HTTP1],
            Offer::Http2 => &[HTTP2],
            Offer::Both => &[HTTP2, HTTP1],
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Session {
            connector: TlsConnector::from(Arc::new(config)),
            name: self.name.clone(),
            only_http2: offer == Offer::Http2,
        }
    }
}

/// What the server may choose from (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Http1,
    Http2,
    Both,
}

/// Makes handshakes.
#[derive(Clone)]
pub(super) struct Session {
    connector: TlsConnector,
    name: ServerName<'static>,
    only_http2: bool,
}

impl Session {
    pub(super) async fn handshake(
        &self,
        socket: TcpStream,
    ) -> Result<Box<TlsStream<TcpStream>>, Failure> {
        let connecting = self.connector.connect(self.name.clone(), socket);
        let stream = connecting.await.map_err(|error| failed(&error))?;
        // A server that knows no ALPN chooses nothing; to one it does not choose, HTTP/2 must not be
        // spoken (RFC 9113, 3.2).
        if self.only_http2 && !chose_http2(&stream) {
            return Err(refused("the server did not choose HTTP/2 (ALPN)"));
        }
        Ok(Box::new(stream))
    }
}

pub(super) fn chose_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

fn refused(text: &str) -> Failure {
    Failure { kind: FailureKind::Handshake(HandshakeFailure::Failed), text: format!("tls: {text}") }
}

/// What a handshake that did not end well was: the peer's end, its word, or ours about it.
fn failed(error: &io::Error) -> Failure {
    let kind = |kind, text| Failure { kind: FailureKind::Handshake(kind), text };
    let said = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match said {
        Some(rustls::Error::InvalidCertificate(why)) => {
            let why = match why {
                CertificateError::UnknownIssuer => "its issuer is unknown".to_owned(),
                why => why.to_string(),
            };
            let text = format!("tls: the server's certificate is not trusted: {why}");
            kind(HandshakeFailure::Untrusted, text)
        }
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            refused("the server speaks no TLS on this port")
        }
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
            refused("the server speaks no protocol that was offered (ALPN)")
        }
        Some(error) => refused(&error.to_string()),
        // The socket's own: it ended, in order or not.
        None => {
            let text = match error.kind() {
                io::ErrorKind::UnexpectedEof => "closed",
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset",
                _ => "broken off",
            };
            kind(HandshakeFailure::Reset, format!("tls: {text} during the handshake"))
        }
    }
}

fn verifier(
    trust: &Trust,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let given = match trust {
        Trust::Anybody => return Ok(Arc::new(Anybody(provider))),
        Trust::Only(certificates) => certificates.clone(),
        Trust::System => Vec::new(),
    };
    let authorities =
        WebPkiServerVerifier::builder_with_provider(Arc::new(trust.roots()?), provider)
            .build()
            .map_err(|error| TlsError::SetUp(error.to_string()))?;
    Ok(Arc::new(Verifier { authorities, given }))
}

/// Trusts authorities, and a certificate that was given itself, though it is one of an authority:
/// what `openssl req -x509` makes is both, and webpki takes no authority for a server.
#[derive(Debug)]
struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.authorities.verify_server_cert(certificate, intermediates, name, ocsp, now);
        match verified {
            // webpki asks this after the time of validity, and before the name.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(ref why)))
                if why.to_string() == "CaUsedAsEndEntity" && self.given.contains(certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Trusts whoever is there.
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
