//! Peers behind TLS, and whom a client has to trust for them.

use std::{
    io::{self, IoSlice, Read, Write},
    sync::Arc,
};

use rustls::{
    HandshakeKind, ServerConfig, ServerConnection, StreamOwned,
    crypto::CryptoProvider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

use super::{Script, conn::Wire};

/// A name that no resolver knows (RFC 6761): only a proxy can lead there.
pub(crate) const NOWHERE: &str = "peer.invalid";

/// What the certificates are for.
pub(super) const HOSTS: [&str; 4] = ["127.0.0.1", "::1", "localhost", NOWHERE];

/// A certificate that has signed itself, and all that goes with it.
pub(crate) struct Authority {
    certificate: Vec<u8>,
    key: String,
    server: Arc<ServerConfig>,
}

impl Authority {
    /// For [`HOSTS`].
    pub(crate) fn new() -> Self {
        Self::of(&HOSTS)
    }

    /// For these names and no others.
    pub(crate) fn of(hosts: &[&str]) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(hosts).expect("the names are valid");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
            .expect("the key is the certificate's");
        Self {
            certificate: made.cert.der().to_vec(),
            key: made.signing_key.serialize_pem(),
            server: Arc::new(server),
        }
    }

    /// What a client needs that is to trust it, and nobody else.
    pub(crate) fn trusted(&self) -> TlsConfig {
        self.trusted_by(TlsProvider::Rustls)
    }

    /// The same, for one that has its TLS from elsewhere.
    pub(crate) fn trusted_by(&self, provider: TlsProvider) -> TlsConfig {
        TlsConfig::builder()
            .provider(provider)
            .root_certs(RootCerts::new_with_certs(&[self.certificate()]))
            .build()
    }

    /// What each of the clients needs that has its TLS from elsewhere.
    pub(crate) fn trusted_by_all(&self) -> Vec<TlsConfig> {
        vec![
            self.trusted(),
            #[cfg(feature = "native-tls")]
            self.trusted_by(TlsProvider::NativeTls),
        ]
    }

    /// The same, for one that has a certificate as well, whose key `crypto` is given.
    pub(crate) fn trusted_with_a_key(&self, crypto: Arc<CryptoProvider>) -> TlsConfig {
        let key = PrivateKey::from_pem(self.key.as_bytes()).expect("it was made a moment ago");
        let certificate = self.certificate();
        TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(std::slice::from_ref(
                &certificate,
            )))
            .client_cert(Some(ClientCert::new_with_certs(&[certificate], key)))
            .unversioned_rustls_crypto_provider(crypto)
            .build()
    }

    fn certificate(&self) -> Certificate<'static> {
        Certificate::from_der(&self.certificate).to_owned()
    }

    /// The script, with TLS around it. What it is spoken on may be TLS already.
    pub(crate) fn wrap(&self, script: Script) -> Script {
        let config = self.server.clone();
        Arc::new(move |conn| {
            let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            conn.speak(|below| Box::new(Tls(StreamOwned::new(connection, below))));
            script(conn)
        })
    }
}

struct Tls(StreamOwned<ServerConnection, Box<dyn Wire>>);

impl Wire for Tls {
    fn bid_farewell(&mut self) {
        self.0.conn.send_close_notify();
        let _ = self.0.flush();
    }

    fn holds_back(&mut self) -> bool {
        let state = self.0.conn.process_new_packets();
        state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0) || self.0.sock.holds_back()
    }

    fn handshake(&self) -> Option<HandshakeKind> {
        self.0.conn.handshake_kind()
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// In as few records as can be, also what TLS over this one hands it in its own.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
        self.0.write(&all.concat())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
