//! H27: what is written to logs holds no secret. In a binary of its own, since a logger and a
//! subscriber are for the whole process.

#![cfg(all(feature = "tracing", feature = "ureq"))]

use std::{
    fmt::{Debug, Write as _},
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Mutex,
    thread,
    time::Duration,
};

use longshore::{Lane, Threads, ureq::Client};
use tracing::{Event, Subscriber, field::Visit, span};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

/// What must not be written anywhere.
const SECRET: &str = "hush";

/// All that was written, by everybody.
static WRITTEN: Mutex<String> = Mutex::new(String::new());

fn write_down(from: &str, what: impl Debug) {
    let mut written = WRITTEN.lock().unwrap();
    let _ = writeln!(written, "{from}: {what:?}");
}

/// Of crates that use `log`, as ureq and rustls do.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // Below `INFO` ureq writes whole URLs and the very bytes that are sent, which is documented.
        if record.target().starts_with("ureq") && record.level() > log::Level::Info {
            return write_down(record.target(), "of no concern");
        }
        write_down(record.target(), record.args());
    }

    fn flush(&self) {}
}

/// Of crates that use `tracing`, as this one does.
struct Collect;

struct Fields<'a>(&'a str);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        write_down(&format!("{} {field}", self.0), value);
    }
}

impl<S: Subscriber> Layer<S> for Collect {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        attributes.record(&mut Fields(attributes.metadata().target()));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Fields(event.metadata().target()));
    }
}

/// Answers each connection once, whatever it says.
fn peer(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut conn in listener.incoming().flatten() {
            // A head, which comes in one piece, or what begins a handshake.
            let _ = conn.read(&mut [0; 4096]);
            let _ = conn.write_all(answer.as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn nothing_that_is_written_to_a_log_holds_a_secret() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let subscriber = tracing_subscriber::registry().with(Collect);
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let good = peer("HTTP/1.1 200 OK\r\nSet-Cookie: a=hush\r\nContent-Length: 2\r\n\r\nok");
    let leads = peer(
        "HTTP/1.1 302 Found\r\nLocation: http://u:hush@127.0.0.1:1/?key=hush\r\nContent-Length: 0\r\n\r\n",
    );
    let refuses = peer("HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n");
    let broken = peer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
    let urls = [
        format!("http://{good}/?key=hush"),
        format!("http://user:hush@{good}/"),
        format!("http://{leads}/"),
        format!("http://user:hush@{broken}/?key=hush"),
        format!("https://user:hush@{broken}/?key=hush"),
        String::from("http://user:hush@127.0.0.1:1/?key=hush"),
    ];
    let proxies = [
        None,
        Some(format!("http://user:hush@{refuses}")),
        Some(String::from("socks5://user:hush@127.0.0.1:1")),
    ];

    let lane = Lane::builder("lane")
        .limit(2)
        .own_threads(Threads::new())
        .build();
    for proxy in proxies {
        let proxy = proxy.map(|url| ureq::Proxy::new(&url).unwrap());
        let config = longshore::ureq::config().proxy(proxy);
        let agent = longshore::ureq::agent(config.build());
        let client = Client::new(lane.clone(), agent.clone());
        for url in &urls {
            let call = client.get(url).header("authorization", "Bearer hush");
            let ended = call.header("cookie", "a=hush").send().await;
            let ended = match ended {
                Ok(response) => response.text().await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::warn!(target: "the user", %error, error.all = ?error);
            }
            // And by the agent alone, whose errors are ureq's.
            let (agent, url) = (agent.clone(), url.clone());
            let call = lane.timeout(Duration::from_secs(10)).offload(move || {
                let call = agent.get(url).header("authorization", "Bearer hush");
                let _ = call.header("cookie", "a=hush").call();
            });
            call.await.unwrap();
        }
    }
    lane.shutdown(Duration::ZERO).await.unwrap();

    let written = WRITTEN.lock().unwrap();
    for from in ["longshore::lane", "ureq", "rustls", "the user"] {
        assert!(written.contains(from), "nothing was written by {from}");
    }
    let told: Vec<&str> = written
        .lines()
        .filter(|line| line.contains(SECRET))
        .collect();
    assert!(told.is_empty(), "{told:#?}");
}
