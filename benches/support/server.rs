//! A loopback HTTP server whose endpoints take their time.

use std::{io, net::SocketAddr, sync::mpsc, thread, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

/// Starts a server that answers `/0` after the first latency, `/1` after the second, and so on.
///
/// It runs on a thread of its own until the process ends, so that no strategy can hold it up.
pub(crate) fn start(latencies: Vec<Duration>) -> SocketAddr {
    let (tell, address) = mpsc::channel();
    thread::Builder::new()
        .name(String::from("server"))
        .spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be had");
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0))
                    .await
                    .expect("a loopback port can be had");
                let _ = tell.send(listener.local_addr().expect("a bound socket has one"));
                loop {
                    let (stream, _) = listener.accept().await.expect("connections are few");
                    tokio::spawn(serve(stream, latencies.clone()));
                }
            });
        })
        .expect("a thread can be had");
    address.recv().expect("the server tells its address first")
}

/// The body of the answer to `/index`.
pub(crate) fn body(index: usize) -> String {
    format!("answer {index}\n")
}

/// One connection, request after request. An error is the end of it: the client will complain.
async fn serve(stream: TcpStream, latencies: Vec<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let index = line
            .strip_prefix("GET /")
            .and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok())
            .filter(|&index| index < latencies.len())
            .ok_or(io::ErrorKind::InvalidData)?;
        // Headers are of no interest, and requests have no bodies.
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
        }
        line.clear();
        tokio::time::sleep(latencies[index]).await;
        let body = body(index);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
