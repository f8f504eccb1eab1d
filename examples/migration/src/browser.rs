//! A client of the API.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::Failure;

/// A client with one connection, which it keeps. Dropping it is to hang up.
#[derive(Debug)]
pub struct Browser {
    stream: BufReader<TcpStream>,
}

impl Browser {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Nobody listens.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends a request and waits for its answer: status and body.
    ///
    /// # Errors
    ///
    /// There is none, or it is not HTTP as our servers speak it.
    pub fn get(&mut self, path: &str) -> Result<(u16, String), Failure> {
        self.send(path)?;
        self.answer()
    }

    /// Sends a request, and does not wait.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub fn send(&mut self, path: &str) -> io::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes())
    }

    /// Waits for the answer to what was sent.
    ///
    /// # Errors
    ///
    /// There is none, or it is not HTTP as our servers speak it.
    pub fn answer(&mut self) -> Result<(u16, String), Failure> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("the connection was closed".into());
        }
        let status = line.split(' ').nth(1).ok_or("no status")?.parse()?;
        let mut length = 0;
        while line.trim_end() != "" {
            line.clear();
            self.stream.read_line(&mut line)?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body)?))
    }

    /// Whether an answer begins to come within this time. It is still to be read after that.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub fn is_answered_within(&mut self, time: Duration) -> io::Result<bool> {
        self.stream.get_ref().set_read_timeout(Some(time))?;
        let begun = self.stream.fill_buf().map(|bytes| !bytes.is_empty());
        self.stream.get_ref().set_read_timeout(None)?;
        match begun {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
            begun => begun,
        }
    }
}
