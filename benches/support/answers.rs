//! A server that gives everybody the same small answer, with as little work as possible.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Builder,
};

/// As many connections may wait to be accepted, if the system allows it.
const BACKLOG: u32 = 4096;

/// 200 bytes in all.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 134\r\n\r\n\
    A lane is a bounded view of blocking threads, one for each thing that is called. Jobs queue \
    in it; its workers take them one by one.\n\n";

/// The size of the body of an answer, in bytes.
pub(crate) const BODY: usize = 134;

/// Prints its address and serves for ever, on this one thread. Each answer comes `delay` after its
/// request.
pub(crate) fn serve(delay: Duration) -> ! {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be had");
    runtime.block_on(async {
        let listener = listen().expect("a loopback port can be had");
        println!("{}", listener.local_addr().expect("a bound socket has one"));
        loop {
            let (stream, _) = listener.accept().await.expect("there are files enough");
            tokio::spawn(answer(stream, delay));
        }
    })
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(BACKLOG)
}

/// One connection, request after request. An error is the end of it: the client will complain.
async fn answer(mut stream: TcpStream, delay: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 1024];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut request[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        // Requests have no body, and nobody sends the next one before the answer.
        if request[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            stream.write_all(ANSWER).await?;
        }
    }
}
