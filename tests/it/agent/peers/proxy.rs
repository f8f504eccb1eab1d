//! An HTTP proxy of the kind that is asked to CONNECT.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, TcpStream},
};

use super::Conn;

/// What a proxy does with those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// It connects everybody.
    Open,
    /// It wants `dXNlcjpwYXNz`, which is `user:pass`.
    Guarded,
    /// It says nothing.
    Silent,
    /// It says something all the time, and comes to no end.
    Drips,
    /// It refuses.
    Refuses,
    /// What it speaks is not HTTP.
    Garbage,
}

/// Knows every name, and for each of them leads to this machine.
pub(crate) fn connect_proxy(
    manners: Manners,
) -> impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static {
    move |conn| {
        let Some(request) = conn.request()? else {
            return Ok(());
        };
        conn.reach();
        let authorized = request.header("proxy-authorization") == Some("Basic dXNlcjpwYXNz");
        match manners {
            Manners::Silent => return conn.watch(),
            Manners::Drips => {
                conn.send("HTTP/1.1 200 Connection established\r\nX-Drip: ")?;
                loop {
                    conn.send(".")?;
                    conn.linger();
                }
            }
            Manners::Garbage => return conn.send("\x05\x00garbage\r\n\r\n"),
            Manners::Refuses => return conn.send("HTTP/1.1 403 Forbidden\r\n\r\n"),
            Manners::Guarded if !authorized => {
                let answer = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                              Proxy-Authenticate: Basic realm=\"peer\"\r\n\r\n";
                return conn.send(answer);
            }
            Manners::Open | Manners::Guarded => {}
        }
        if request.method() != "CONNECT" {
            return conn.send("HTTP/1.1 405 Method Not Allowed\r\n\r\n");
        }
        let Ok(upstream) = lead(request.target()) else {
            return conn.send("HTTP/1.1 502 Bad Gateway\r\n\r\n");
        };
        conn.send("HTTP/1.1 200 Connection established\r\n\r\n")?;
        conn.splice(upstream)
    }
}

/// A connection to this machine, whatever it is called.
pub(super) fn lead(authority: &str) -> io::Result<TcpStream> {
    let (host, port) = authority
        .rsplit_once(':')
        .ok_or_else(|| io::Error::other("no port"))?;
    let port: u16 = port.parse().map_err(io::Error::other)?;
    if host.contains(':') {
        TcpStream::connect((Ipv6Addr::LOCALHOST, port))
    } else {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port))
    }
}
