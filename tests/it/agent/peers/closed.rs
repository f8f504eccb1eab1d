//! A port where nobody listens, and where nobody else will for as long as this is there.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

/// A socket that has the port, and refuses whoever wants to connect.
pub(crate) struct Closed(OwnedFd);

impl Closed {
    pub(crate) fn new() -> Self {
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        // A child would have the port, and keep it.
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)
            .expect("there are descriptors left");
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port is free");
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let bound = getsockname(&self.0).expect("it is bound");
        bound.try_into().expect("to an address of IP")
    }
}
