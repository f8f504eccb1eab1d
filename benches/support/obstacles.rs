//! Servers that keep a call in one phase.

use std::{future::pending, io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Builder,
    time::{sleep, timeout},
};

/// A body that nobody has to the end.
const ENDLESS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\nsome";

/// Where a call is kept.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Phase {
    Connect,
    Tls,
    Send,
    Head,
    Body,
    Flowing,
}

impl Phase {
    pub(crate) const ALL: [Self; 6] = [
        Self::Connect,
        Self::Tls,
        Self::Send,
        Self::Head,
        Self::Body,
        Self::Flowing,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::Head => "head",
            Self::Body => "body",
            Self::Flowing => "flowing",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// Prints the URL to call, and keeps whoever calls it, for ever.
    pub(crate) fn serve(self) -> ! {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be had");
        runtime.block_on(async {
            let listener = listen(if self == Self::Connect { 1 } else { 1024 });
            let listener = listener.expect("a loopback port can be had");
            let address = listener.local_addr().expect("a bound socket has one");
            let _kept = match self {
                Self::Connect => fill(address).await,
                _ => Vec::new(),
            };
            let scheme = if self == Self::Tls { "https" } else { "http" };
            println!("{scheme}://{address}/");
            if self == Self::Connect {
                pending::<()>().await;
            }
            loop {
                let (stream, _) = listener.accept().await.expect("connections are few");
                tokio::spawn(self.keep(stream));
            }
        })
    }

    /// Keeps one caller until it goes.
    async fn keep(self, mut stream: TcpStream) -> io::Result<()> {
        let mut bytes = vec![0; 256 * 1024];
        match self {
            Self::Connect => {}
            // What is not read hides the end of the connection, so this looks for it.
            Self::Send => loop {
                let ready = stream.ready(Interest::READABLE).await?;
                if ready.is_read_closed() {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            },
            Self::Tls | Self::Head => while stream.read(&mut bytes).await? > 0 {},
            Self::Body | Self::Flowing => {
                // The request is small enough to come in one piece.
                let _ = stream.read(&mut bytes).await?;
                stream.write_all(ENDLESS).await?;
                if self == Self::Flowing {
                    loop {
                        stream.write_all(&bytes).await?;
                    }
                }
                while stream.read(&mut bytes).await? > 0 {}
            }
        }
        Ok(())
    }
}

fn listen(backlog: u32) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    // A body that nobody reads shall be stuck soon.
    socket.set_recv_buffer_size(64 * 1024)?;
    socket.listen(backlog)
}

/// Connects until nobody is let in any more. The system drops further attempts without a word, as
/// long as these are kept and not accepted.
async fn fill(address: SocketAddr) -> Vec<TcpStream> {
    let mut kept = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        kept.push(stream.expect("the listener is there"));
    }
    kept
}
