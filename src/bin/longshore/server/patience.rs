//! How long the server waits for a client that is slow, or says nothing, or does not read.

use std::time::Duration;

/// How long a client may take before it is let go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a request, once it has begun or the connection is new.
    pub(super) request: Duration,
    /// For nothing at all, between two requests.
    pub(super) idle: Duration,
    /// For reading one answer, of up to a gigabyte.
    pub(super) answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            answer: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use super::Patience;
    use crate::random::Random;
    use crate::server::{Open, Server, Site};

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(3_600);
    /// No step of these tests takes this long, unless it would never end.
    const WATCHDOG: Duration = Duration::from_secs(30);

    /// A server that has room for one connection, as patient as this.
    fn server(patience: Patience) -> SocketAddr {
        let site = Site::Open(Open {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            body_size: 0,
            rules: Vec::new(),
            random: Mutex::new(Random::new(0)),
        });
        Server::start_with(site, 1, patience).expect("a free port")
    }

    fn patience() -> Patience {
        Patience {
            request: LONG,
            idle: LONG,
            answer: LONG,
        }
    }

    fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream
            .set_read_timeout(Some(WATCHDOG))
            .expect("a socket takes it");
        stream
    }

    /// True if a request on this connection is answered well.
    fn answers(stream: &mut TcpStream) -> bool {
        let mut answer = [0; 256];
        let asked = stream.write_all(b"GET /bytes/0 HTTP/1.1\r\nhost: x\r\n\r\n");
        asked.is_ok()
            && matches!(stream.read(&mut answer), Ok(12..))
            && answer.starts_with(b"HTTP/1.1 200")
    }

    /// A connection with one good exchange behind it. It is tried for until then: the one before may
    /// still hold the place, or this thread may be too slow for the server.
    fn kept(address: SocketAddr) -> TcpStream {
        let began = Instant::now();
        loop {
            let mut stream = connect(address);
            if answers(&mut stream) {
                return stream;
            }
            assert!(began.elapsed() < WATCHDOG, "nobody is answered any more");
        }
    }

    /// What the server says until it closes the connection.
    fn rest(mut stream: TcpStream) -> Vec<u8> {
        let mut said = Vec::new();
        match stream.read_to_end(&mut said) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the connection stays open")
            }
            _ => said,
        }
    }

    /// Sends a byte at a time until the server has said something and closed the connection.
    fn dripped(mut stream: TcpStream) -> String {
        let began = Instant::now();
        stream
            .set_read_timeout(Some(SHORT / 10))
            .expect("a socket takes it");
        let (mut said, mut bytes) = (Vec::new(), [0; 256]);
        loop {
            // The server may have closed it by now, and have said why.
            let _ = stream.write_all(b"x");
            match stream.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => said.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    assert!(began.elapsed() < WATCHDOG, "the connection stays open");
                }
                Err(_) => break,
            }
        }
        String::from_utf8(said).expect("text")
    }

    #[test]
    fn a_request_that_drips_in_is_given_up() {
        let hurried = Patience {
            request: SHORT,
            ..patience()
        };
        let begin = |mut stream: TcpStream, start: &str| {
            // If this thread was too slow it is given up all the same.
            let _ = stream.write_all(start.as_bytes());
            stream
        };
        let head = "GET / HTTP/1.1\r\nx: ";
        let body = "POST / HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n";
        let address = server(hurried);
        for start in [head, body] {
            let began = Instant::now();
            // Nothing is said to one that has not begun in time, as this thread may be too slow; and the one
            // before may still hold the place.
            loop {
                let said = dripped(begin(connect(address), start));
                if said.starts_with("HTTP/1.1 408 Request Timeout") {
                    break;
                }
                assert!(
                    said.is_empty() || said.starts_with("HTTP/1.1 503"),
                    "{said}"
                );
                assert!(began.elapsed() < WATCHDOG, "nobody is told");
            }
            assert!(began.elapsed() >= SHORT);
            // On a kept connection too, from when it has begun.
            let said = dripped(begin(kept(address), start));
            assert!(said.starts_with("HTTP/1.1 408 Request Timeout"), "{said}");
        }
        kept(address);
    }

    #[test]
    fn a_client_that_says_nothing_is_let_go_without_a_word() {
        let address = server(Patience {
            request: SHORT,
            ..patience()
        });
        let began = Instant::now();
        assert_eq!(rest(connect(address)), b"");
        assert!(began.elapsed() >= SHORT);
        // Between two requests it may rest.
        let mut stream = kept(address);
        std::thread::sleep(4 * SHORT);
        assert!(answers(&mut stream));

        // Though not for ever.
        let address = server(Patience {
            idle: SHORT,
            ..patience()
        });
        assert_eq!(rest(kept(address)), b"");
        kept(address);
    }

    #[test]
    fn a_client_that_does_not_read_is_let_go() {
        let address = server(Patience {
            answer: SHORT,
            ..patience()
        });
        let mut stream = connect(address);
        stream
            .write_all(b"GET /bytes/1073741824 HTTP/1.1\r\nhost: x\r\n\r\n")
            .expect("the server reads");
        // Nothing was read, and there is room for the next.
        kept(address);
        assert!(rest(stream).len() < 1 << 30);
    }

    #[test]
    fn what_is_never_answered_ends_with_its_client() {
        let address = server(patience());
        // As much as the server would look ahead, and more.
        for ahead in [0, 100, 20_000, 200_000] {
            let mut stream = kept(address);
            let request = format!("GET /hang HTTP/1.1\r\nhost: x\r\n\r\n{}", "x".repeat(ahead));
            stream
                .write_all(request.as_bytes())
                .expect("the server reads");
            drop(stream);
        }
        kept(address);
    }
}
