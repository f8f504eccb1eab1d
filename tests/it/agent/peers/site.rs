//! A site on whose paths one thing each goes wrong, on a connection that was good until then.

use std::io;

use super::Conn;

/// How much has to have gone over the wire before a stream counts as going at full speed.
const ENDLESS: usize = 1 << 20;

/// Answers `/ok` with the number of the connection, and takes leave of good manners elsewhere.
///
/// It [reaches](Conn::reach) the point where a path goes wrong after it has sent what comes before.
pub(crate) fn site(conn: &mut Conn) -> io::Result<()> {
    while let Some(request) = conn.request()? {
        match request.target() {
            "/ok" => {
                conn.body(&request)?;
                let id = conn.id().to_string();
                conn.reply(id)?;
            }
            "/silent" => stall(conn, "")?,
            "/half-head" => stall(conn, "HTTP/1.1 200 OK\r\nContent-Le")?,
            "/head-only" => stall(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")?,
            "/half-body" => stall(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")?,
            "/half-chunk" => {
                let half =
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n01";
                stall(conn, half)?;
            }
            "/until-close" => stall(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01234")?,
            // A bad second hop, from one that leaves the connection as it was.
            "/elsewhere" => {
                conn.send("HTTP/1.1 302 Found\r\nLocation: /silent\r\nContent-Length: 0\r\n\r\n")?
            }
            "/drip" => drip(conn)?,
            "/endless" => pour(conn)?,
            "/reads-nothing" | "/reads-nothing?known-length" => {
                conn.reach();
                conn.pass();
                conn.watch()?;
            }
            // Says that it will, and does not.
            "/reads-nothing?interim" => {
                conn.send("HTTP/1.1 102 Processing\r\n\r\n")?;
                conn.reach();
                conn.pass();
                conn.watch()?;
            }
            // Says so, and looks at nothing that comes after that.
            "/refuses" => {
                conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")?;
                conn.reach();
                conn.pass();
                conn.watch()?;
            }
            "/swallows" => swallow(conn)?,
            // Does not say that the body may come.
            "/expects-nothing" => stall(conn, "")?,
            // Begins to say it.
            "/expects-half" => stall(conn, "HTTP/1.1 100 Continue\r\n")?,
            other => panic!("no such path: {other}"),
        }
    }
    Ok(())
}

/// Nothing more after this.
fn stall(conn: &mut Conn, before: &str) -> io::Result<()> {
    conn.send(before)?;
    conn.reach();
    conn.watch()
}

/// One byte at a time.
fn drip(conn: &mut Conn) -> io::Result<()> {
    conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
    for byte in 0.. {
        conn.send(".")?;
        if byte == 3 {
            conn.reach();
        }
        conn.linger();
    }
    Ok(())
}

/// A body without end, as fast as it goes.
fn pour(conn: &mut Conn) -> io::Result<()> {
    conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let mut chunk = b"10000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x10000, b'.');
    chunk.extend_from_slice(b"\r\n");
    let mut sent = 0;
    loop {
        conn.send(&chunk)?;
        if sent < ENDLESS && sent + chunk.len() >= ENDLESS {
            conn.reach();
        }
        sent += chunk.len();
    }
}

/// Reads whatever comes, for as long as it comes.
fn swallow(conn: &mut Conn) -> io::Result<()> {
    conn.take(ENDLESS)?;
    conn.reach();
    conn.watch()
}
