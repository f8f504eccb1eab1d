//! A SOCKS proxy, of the versions 4, 4a and 5.

use std::io;

use super::{Conn, proxy::lead};

/// What a proxy does with those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocksManners {
    /// It connects everybody.
    Open,
    /// It wants `user` and `pass`; SOCKS 4 has no place for that.
    Guarded,
    /// It says nothing.
    Silent,
    /// It says nothing after the greeting.
    SilentLater,
    /// It refuses.
    Refuses,
    /// It speaks something else.
    Garbage,
}

/// Knows every name, and for each of them leads to this machine. Notes what it was asked for as the
/// head of a request: `4 connect 127.0.0.1:80`.
pub(crate) fn socks_proxy(
    manners: SocksManners,
) -> impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static {
    move |conn| {
        let version = conn.take(1)?[0];
        if manners == SocksManners::Silent {
            conn.reach();
            return conn.watch();
        }
        if manners == SocksManners::Garbage {
            return conn.send("HTTP/1.1 400 Bad Request\r\n\r\n");
        }
        match version {
            4 => version_4(conn, manners),
            5 => version_5(conn, manners),
            other => Err(io::Error::other(format!("SOCKS {other}"))),
        }
    }
}

fn version_4(conn: &mut Conn, manners: SocksManners) -> io::Result<()> {
    let request = conn.take(7)?;
    let port = u16::from_be_bytes([request[1], request[2]]);
    text(conn)?;
    // An address that cannot be: the name follows (4a).
    let host = match request[3..] {
        [0, 0, 0, last] if last != 0 => text(conn)?,
        [a, b, c, d] => format!("{a}.{b}.{c}.{d}"),
        _ => unreachable!("seven bytes"),
    };
    let asked = format!("{host}:{port}");
    conn.note(|record| record.heads.push(format!("4 connect {asked}")));
    match manners {
        SocksManners::SilentLater => {
            conn.reach();
            conn.watch()
        }
        SocksManners::Refuses => conn.send([0, 91, 0, 0, 0, 0, 0, 0]),
        _ => {
            let upstream = lead(&asked)?;
            conn.send([0, 90, 0, 0, 0, 0, 0, 0])?;
            conn.splice(upstream)
        }
    }
}

fn version_5(conn: &mut Conn, manners: SocksManners) -> io::Result<()> {
    let offered = conn.take(1)?[0];
    let methods = conn.take(offered.into())?;
    let wanted = if manners == SocksManners::Guarded {
        2
    } else {
        0
    };
    if !methods.contains(&wanted) {
        return conn.send([5, 0xff]);
    }
    conn.send([5, wanted])?;
    if wanted == 2 && !knows_the_word(conn)? {
        return Ok(());
    }
    let request = conn.take(4)?;
    let host = match request[3] {
        1 => {
            let ip = conn.take(4)?;
            format!("{}.{}.{}.{}", ip[0], ip[1], ip[2], ip[3])
        }
        3 => {
            let length = conn.take(1)?[0];
            String::from_utf8_lossy(&conn.take(length.into())?).into_owned()
        }
        4 => {
            let ip: [u8; 16] = conn.take(16)?.try_into().expect("sixteen bytes");
            format!("[{}]", std::net::Ipv6Addr::from(ip))
        }
        other => return Err(io::Error::other(format!("an address of kind {other}"))),
    };
    let port = conn.take(2)?;
    let asked = format!("{host}:{}", u16::from_be_bytes([port[0], port[1]]));
    conn.note(|record| record.heads.push(format!("5 connect {asked}")));
    match manners {
        SocksManners::SilentLater => {
            conn.reach();
            conn.watch()
        }
        SocksManners::Refuses => conn.send([5, 2, 0, 1, 0, 0, 0, 0, 0, 0]),
        _ => {
            let upstream = lead(&asked)?;
            // Bound to a name, which a client has to skip as well.
            conn.send(b"\x05\x00\x00\x03\x04name\x00\x00")?;
            conn.splice(upstream)
        }
    }
}

/// RFC 1929.
fn knows_the_word(conn: &mut Conn) -> io::Result<bool> {
    conn.take(1)?;
    let mut said = [String::new(), String::new()];
    for word in &mut said {
        let length = conn.take(1)?[0];
        *word = String::from_utf8_lossy(&conn.take(length.into())?).into_owned();
    }
    let known = said == ["user", "pass"];
    conn.send([1, u8::from(!known)])?;
    Ok(known)
}

/// Up to a zero, without it.
fn text(conn: &mut Conn) -> io::Result<String> {
    let mut text = String::new();
    loop {
        match conn.take(1)?[0] {
            0 => return Ok(text),
            byte => text.push(byte.into()),
        }
    }
}
