//! Where we cut into ureq: the only folder that names [`ureq::unversioned`]. Here is what is put in the
//! place of ureq's own: the resolver, the connectors and the transport. `checked` and `all_read` are put round
//! connections, which takes a transport, and `prepared` round ureq's TLS, which takes a connector.
//!
//! That part of ureq may change in a minor release, so nothing here is written out that its
//! authors might add to: no literal of a struct of theirs, no match that names every variant.

mod all_read;
mod checked;
mod prepared;

use std::net::SocketAddr;

use ureq::{
    Agent, Error, Timeout,
    config::Config,
    http::Uri,
    tls::TlsProvider,
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{
            Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, NextTimeout,
            RustlsConnector, ShutdownHandle, Transport,
        },
    },
};

use self::{
    all_read::AllRead,
    checked::{Checked, Uncut},
    prepared::Prepared,
};
use super::{
    authority,
    buffers::{Sizes, Space},
    call, dns,
    open::Open,
    phase::Phase,
    socks::{self, Target},
    stop::{Idle, Stop, Until},
    wire::Wire,
};
use crate::{error::Cancelled, sync::Arc};

pub(super) fn agent(config: Config) -> Agent {
    let open = Arc::<Open>::default();
    let tls = config.tls_config();
    let chain =
        ().chain(Socks(open.clone()))
            .chain(ConnectProxyConnector::default())
            .chain(Tcp(open))
            .chain(Connected)
            .chain(Prepared::new(
                RustlsConnector::default(),
                TlsProvider::Rustls,
                tls,
            ));
    #[cfg(feature = "native-tls")]
    let chain = {
        let connector = ureq::unversioned::transport::NativeTlsConnector::default();
        chain.chain(Prepared::new(connector, TlsProvider::NativeTls, tls))
    };
    Agent::with_parts(config, Whole(chain), Names)
}

// ===== Names =====

#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        call::resolving();
        let (host, port) = host_and_port(uri)?;
        let end = until(left(timeout));
        let addresses = dns::addresses(host, end).map_err(|stop| error(stop, timeout))?;
        let with_port = addresses.iter().map(|&(mut address)| {
            address.set_port(port);
            address
        });
        let mut resolved = self.empty();
        for address in config.ip_family().keep_wanted(with_port).take(MOST) {
            resolved.push(address);
        }
        if resolved.is_empty() {
            return Err(Error::HostNotFound);
        }
        Ok(resolved)
    }
}

/// How many addresses ureq has room for.
const MOST: usize = 16;

fn host_and_port(uri: &Uri) -> Result<(&str, u16), Error> {
    authority::host_and_port(uri).map_err(Error::BadUri)
}

// ===== Connections =====

/// The whole chain, to know where it begins and ends.
#[derive(Debug)]
struct Whole<C>(C);

impl<C: Connector> Connector for Whole<C> {
    type Out = Either<AllRead<C::Out>, Checked<AllRead<C::Out>>>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let connecting = call::connecting(until(details.timeout));
        // Where a proxy looks the name up, nobody has looked at the port yet.
        host_and_port(details.uri)?;
        // What leads to a proxy is part of a chain that is checked as a whole: what goes over it later
        // may be encrypted.
        let leads_to_proxy = call::is_connecting_to_proxy();
        let connected = self.0.connect(details, chained)?;
        connecting.done();
        Ok(connected.map(AllRead::new).map(|connection| {
            if leads_to_proxy {
                Either::A(connection)
            } else {
                Either::B(Checked::new(connection))
            }
        }))
    }
}

/// Opens the connection, unless a proxy has.
#[derive(Debug)]
struct Tcp(Arc<Open>);

impl<In: Transport> Connector<In> for Tcp {
    type Out = Either<In, Wire>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(connection) = chained {
            return Ok(Some(Either::A(connection)));
        }
        let wire = connect(&details.addrs, details, &self.0)?;
        Ok(Some(Either::B(wire)))
    }
}

/// The connection is there; what follows is TLS, or nothing.
#[derive(Debug)]
struct Connected;

impl<In: Transport> Connector<In> for Connected {
    type Out = Either<AllRead<In>, Uncut<AllRead<In>>>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let chained = chained.map(AllRead::new);
        if !details.needs_tls() {
            return Ok(chained.map(Either::A));
        }
        call::enter(Phase::Tls);
        let native = details.config.tls_config().provider() == TlsProvider::NativeTls;
        Ok(chained.map(|connection| {
            if native {
                Either::B(Uncut::new(connection))
            } else {
                Either::A(connection)
            }
        }))
    }
}

/// Opens the connection by way of a SOCKS proxy, if that is what the configuration says.
#[derive(Debug)]
struct Socks(Arc<Open>);

impl<In: Transport> Connector<In> for Socks {
    type Out = Either<In, Wire>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if chained.is_some() {
            return Ok(chained.map(Either::A));
        }
        let Some(proxy) = socks::proxy_for(details.uri, details.config) else {
            return Ok(None);
        };
        let target = if proxy.resolve_target() {
            let address = socks::address_for(proxy.protocol(), &details.addrs);
            Target::Address(address.ok_or(Error::HostNotFound)?)
        } else {
            let (host, port) = host_and_port(details.uri)?;
            Target::named(host, port)
        };

        let addresses = (details.resolver).resolve(proxy.uri(), details.config, details.timeout)?;
        let mut wire = connect(&addresses, details, &self.0)?;
        let end = until(left(details.timeout));
        socks::ask(&mut wire.socket().until(end), proxy, &target)
            .map_err(|failed| error(failed.into(), details.timeout))?;
        Ok(Some(Either::B(wire)))
    }
}

/// Opens a connection and sees to it that a shutdown of the agent finds it.
fn connect(
    addresses: &[SocketAddr],
    details: &ConnectionDetails<'_>,
    open: &Arc<Open>,
) -> Result<Wire, Error> {
    let config = details.config;
    let end = until(left(details.timeout));
    let wire = Wire::open(addresses, end, config.no_delay(), Sizes::of(config))
        .map_err(|stop| error(stop, details.timeout))?;
    if open.admit(wire.stream())? {
        let handle = Arc::downgrade(open);
        // Refused, the agent has been shut down before it knew of us.
        (details.register_shutdown)(handle).inspect_err(|_| open.shut_down())?;
    }
    Ok(wire)
}

impl ShutdownHandle for Open {
    fn shutdown(&self) {
        self.shut_down();
    }
}

// ===== The transport =====

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.space()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = left(timeout).for_write();
        self.send(amount, until(timeout), timeout.reason)
            .map_err(|stop| error(stop, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = left(timeout).for_read();
        call::enter_if(Phase::Send, Phase::Head);
        call::set_answered(false);
        match self.fill(until(timeout)) {
            Ok(read) => Ok(read > 0),
            Err(stop) => Err(error(stop, timeout)),
        }
    }

    fn is_open(&mut self) -> bool {
        self.is_open()
    }
}

impl Buffers for Space {
    fn output(&mut self) -> &mut [u8] {
        self.output()
    }

    fn input(&self) -> &[u8] {
        self.unused()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.room()
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled(amount);
    }

    fn input_consume(&mut self, amount: usize) {
        self.consume(amount);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.scratch_and_output(SCRATCH)
    }

    fn can_use_input(&self) -> bool {
        self.is_usable()
    }
}

/// The least room that ureq wants for a piece of a body that it sends.
const SCRATCH: usize = 10 * 1024;

// ===== Times and errors =====

fn until(timeout: NextTimeout) -> Until {
    if timeout.after.is_not_happening() {
        Until::after(None)
    } else {
        Until::after(Some(*timeout.after))
    }
}

/// The same timeout, but not beyond `end`.
fn within(mut timeout: NextTimeout, end: Until) -> NextTimeout {
    match end.left() {
        Some(left) if left < *timeout.after => timeout.after = left.into(),
        _ => {}
    }
    timeout
}

/// What is left of a timeout. To make a connection takes several steps where a proxy is on the way, and
/// ureq gives to each anew what there is for all of them.
fn left(timeout: NextTimeout) -> NextTimeout {
    within(timeout, call::connected_by())
}

/// Never an `io::Error` for what we stopped ourselves: ureq, rustls and native-tls take some kinds
/// of these for the end of the data, and some for a reason to try again.
fn error(stop: Stop, timeout: NextTimeout) -> Error {
    match stop {
        Stop::Cancelled => Error::Other(Box::new(Cancelled)),
        Stop::Idle => Error::Other(Box::new(Idle)),
        Stop::Deadline => Error::Timeout(Timeout::Global),
        Stop::Timeout => Error::Timeout(timeout.reason),
        Stop::Late(name) => Error::Timeout(name),
        Stop::Io(error) => error.into(),
    }
}
