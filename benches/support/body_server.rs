//! A server that sends bodies of zeros as fast as they are taken, plain and with TLS.
//!
//! A thread for each connection: it runs in a process of its own, and few connections are open.

use std::{
    io::{self, Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

use rcgen::CertifiedKey;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// How much is written at once.
const PIECE: usize = 256 * 1024;

/// Prints three lines and serves for ever: the URL of the plain server, that of the one with TLS,
/// and its certificate. A GET for `/N` is answered with N bytes.
pub(crate) fn serve() -> ! {
    let plain = listen();
    println!("http://{}/", address(&plain));
    let secure = listen();
    println!("https://{}/", address(&secure));

    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([String::from("127.0.0.1")])
            .expect("a certificate can be made");
    let hex = cert.der().iter().map(|byte| format!("{byte:02x}"));
    println!("{}", hex.collect::<String>());

    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .expect("the certificate and the key belong together");
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in secure.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("the config is good");
            thread::spawn(move || answer(StreamOwned::new(connection, stream)));
        }
    });
    loop {
        let (stream, _) = plain.accept().expect("there are files enough");
        thread::spawn(move || answer(stream));
    }
}

/// The third line, as DER.
pub(crate) fn certificate(hex: &str) -> Vec<u8> {
    let bytes = hex.as_bytes().chunks(2).map(|digits| {
        let digits = std::str::from_utf8(digits).ok();
        digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())
    });
    bytes.collect::<Option<_>>().expect("the line is hex")
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a loopback port can be had")
}

fn address(listener: &TcpListener) -> std::net::SocketAddr {
    listener.local_addr().expect("a bound socket has one")
}

/// One connection, request after request. An error is the end of it: the client will complain.
fn answer(mut stream: impl Read + Write) -> io::Result<()> {
    let zeros = vec![0; PIECE];
    let mut request = [0; 4096];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut request[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        if !request[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        let length = asked_for(&request[..filled]).ok_or(io::ErrorKind::InvalidData)?;
        filled = 0;
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
        )?;
        let mut left = length;
        while left > 0 {
            let piece = left.min(PIECE as u64);
            stream.write_all(&zeros[..piece as usize])?;
            left -= piece;
        }
        stream.flush()?;
    }
}

/// `N` of `GET /N HTTP/1.1`.
fn asked_for(request: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(request).ok()?;
    text.strip_prefix("GET /")?.split(' ').next()?.parse().ok()
}
