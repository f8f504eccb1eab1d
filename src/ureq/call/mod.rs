//! What a thread knows of the HTTP call that it makes.
//!
//! ureq's resolver, connector and transport are told nothing of the request that they serve, and a
//! pooled connection serves many. But ureq makes a call on one thread from its beginning to its
//! end, so what belongs to a call is kept with the thread, and every operation looks it up.
//!
//! What a user's code does on the way, in a body that is read say, may be another call. Where we are the
//! ones who call that code, what is known of the first is put [`aside`] meanwhile.

#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use super::{phase::Phase, stop::Until};

/// Who follows a call from outside of it.
pub(super) trait Watch {
    /// The thread is about to wait for the peer.
    fn waits(&self);
    /// Nobody takes what has come, so the thread need not wait for more. Asking may wake whoever does.
    fn is_idle(&self) -> bool;
    /// For how long nobody has wanted more of what comes.
    fn unwanted(&self) -> Duration;
    /// The first byte of the request is about to be sent. `false` if it must not be any more.
    fn may_send(&self) -> bool;
}

#[derive(Default)]
struct Call {
    phase: Cell<Phase>,
    /// Bytes of the request that were handed to the socket, TLS records included.
    sent: Cell<u64>,
    /// Something of an answer has come.
    received: Cell<bool>,
    /// The peer has said that nothing more comes.
    ended: Cell<bool>,
    /// The connection is not this call's any more: it was given back, or closed.
    left: Cell<bool>,
    /// How many bytes came after the head, decrypted; `None` as long as nobody has looked.
    after_head: Cell<Option<usize>>,
    answered: Cell<bool>,
    /// Until when a body is read that nobody wants.
    leftover: Cell<Option<Instant>>,
    /// How many connections are being made: to reach a host through a proxy, first one to the proxy.
    connecting: Cell<usize>,
    /// By when the first of these has to be there.
    connected_by: Cell<Until>,
    watch: RefCell<Option<Rc<dyn Watch>>>,
}

thread_local! {
    static CALL: RefCell<Call> = RefCell::default();
}

/// A new exchange begins on this thread, or the next hop of one: for whoever asks later what was
/// sent. A call that a middleware makes on the way does not begin anew.
pub(super) fn begin() {
    // In no phase until the agent says otherwise: one of ureq's own never does.
    let new = Call {
        watch: RefCell::new(watching()),
        ..Call::default()
    };
    drop(CALL.replace(new));
}

/// Whether the peer has answered before it had the whole request, and takes no more of it. Said with each
/// piece that is sent, and until no more is.
pub(super) fn set_answered(answered: bool) {
    CALL.with_borrow(|call| call.answered.set(answered));
}

/// Whether nothing that is still sent will be looked at.
pub(super) fn is_answered() -> bool {
    CALL.with_borrow(|call| call.answered.get())
}

pub(super) fn enter(phase: Phase) {
    CALL.with_borrow(|call| call.phase.set(phase));
}

/// From one phase to the next, if this is the one.
pub(super) fn enter_if(from: Phase, to: Phase) {
    if phase() == from {
        enter(to);
    }
}

/// A name is looked up. That of a proxy while its connection is made, which is what takes the time.
pub(super) fn resolving() {
    if CALL.with_borrow(|call| call.connecting.get()) == 0 {
        enter(Phase::Resolve);
    }
}

/// A request is about to be sent, or more of it: its body, after the peer was asked whether it wants that.
/// Of what was known before, nothing may be true of it: its connection may be from the pool, and a
/// middleware may have made another call.
pub(super) fn sends() {
    CALL.with_borrow(|call| call.left.set(false));
    enter(Phase::Send);
}

/// Whether the connection that is being made is one to a proxy, or within one by way of it.
pub(super) fn is_connecting_to_proxy() -> bool {
    CALL.with_borrow(|call| call.connecting.get()) > 1
}

/// A connection is being made, until the guard is dropped, for which there is time until `end`.
pub(super) fn connecting(end: Until) -> Connecting {
    CALL.with_borrow(|call| {
        if call.connecting.replace(call.connecting.get() + 1) == 0 {
            call.connected_by.set(end);
        }
    });
    enter(Phase::Connect);
    Connecting
}

/// By when a connection has to be there that is being made, with all that leads to it.
pub(super) fn connected_by() -> Until {
    CALL.with_borrow(|call| match call.connecting.get() {
        0 => Until::NEVER,
        _ => call.connected_by.get(),
    })
}

pub(super) struct Connecting;

impl Connecting {
    /// There is one. If it is not that to a proxy, the request can be sent.
    pub(super) fn done(self) {
        if CALL.with_borrow(|call| call.connecting.get()) == 1 {
            enter(Phase::Send);
        } else {
            enter(Phase::Connect);
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        CALL.with_borrow(|call| call.connecting.set(call.connecting.get() - 1));
    }
}

pub(super) fn phase() -> Phase {
    CALL.with_borrow(|call| call.phase.get())
}

/// Whether anything of the request may have reached the peer.
pub(super) fn sent() -> bool {
    CALL.with_borrow(|call| call.sent.get() > 0)
}

/// Whether anything of a response has come.
pub(super) fn received() -> bool {
    CALL.with_borrow(|call| call.received.get())
}

/// Bytes were handed to the socket. What a handshake sends is not the request.
pub(super) fn count_sent(bytes: usize) {
    CALL.with_borrow(|call| {
        if call.phase.get() >= Phase::Send {
            call.sent.set(call.sent.get() + bytes as u64);
        }
    });
}

/// There is something to read on the connection. Not so on its socket, where TLS says what belongs
/// to itself; and what a proxy says is not of the response.
pub(super) fn heard() {
    if phase() >= Phase::Send {
        CALL.with_borrow(|call| call.received.set(true));
    }
}

/// There will be nothing more to read on the connection.
pub(super) fn end() {
    CALL.with_borrow(|call| call.ended.set(true));
}

/// Whether the peer has closed the connection.
pub(super) fn has_ended() -> bool {
    CALL.with_borrow(|call| call.ended.get())
}

/// The connection goes back to the pool, or is closed. (Or it comes from there, which is before
/// anything is sent on it.)
pub(super) fn leave() {
    // On a thread that ends, a connection may be dropped when this is gone already.
    let _ = CALL.try_with(|call| {
        let call = call.borrow();
        call.left.set(true);
        call.answered.set(false);
    });
}

/// Whether ureq has read the response to its end, or has given it up.
pub(super) fn has_left() -> bool {
    CALL.with_borrow(|call| call.left.get())
}

/// ureq looks at what has come and was not used: if for the first time since the head, then that is
/// the beginning of the body.
pub(super) fn look(unused: usize) {
    CALL.with_borrow(|call| {
        if call.phase.get() == Phase::Body && call.after_head.get().is_none() {
            call.after_head.set(Some(unused));
        }
    });
}

/// More of the body has come.
pub(super) fn count_body(bytes: usize) {
    CALL.with_borrow(|call| {
        if let Some(before) = call.after_head.get() {
            call.after_head.set(Some(before.saturating_add(bytes)));
        }
    });
}

/// How many bytes came after the head while this thread was at it: chunked and compressed, if they
/// were sent so.
pub(super) fn after_head() -> usize {
    CALL.with_borrow(|call| call.after_head.get().unwrap_or(0))
}

/// The thread is about to wait for the peer: whoever collects what it does should pass it on now.
pub(super) fn waits() {
    if let Some(watch) = watching() {
        watch.waits();
    }
}

/// Whether bytes may be handed to the socket. Asked before each write; what a handshake sends is not
/// the request, and once some of that was sent it is too late to say no.
pub(super) fn may_send() -> bool {
    if sent() || matches!(phase(), Phase::Connect | Phase::Tls) {
        return true;
    }
    watching().is_none_or(|watch| watch.may_send())
}

/// Whether a wait for more of a body can be left to a later time. `None` if nobody could tell, now or
/// later. Asking may wake whoever waits.
pub(super) fn is_idle() -> Option<bool> {
    if phase() != Phase::Body {
        return None;
    }
    if CALL.with_borrow(|call| call.leftover.get().is_some()) {
        return Some(true);
    }
    watching().map(|watch| watch.is_idle())
}

/// For how long nobody has waited for more of the body, as far as anybody knows.
pub(super) fn unwanted() -> Duration {
    let watch = watching().filter(|_| phase() == Phase::Body);
    watch.map_or(Duration::ZERO, |watch| watch.unwanted())
}

/// Nobody wants the body that is read until the guard is dropped: to have its connection is not worth
/// a long wait, nor more than this time in all.
pub(super) fn leftover(time: Duration) -> Leftover {
    CALL.with_borrow(|call| call.leftover.set(Some(Instant::now() + time)));
    Leftover
}

pub(super) struct Leftover;

impl Drop for Leftover {
    fn drop(&mut self) {
        CALL.with_borrow(|call| call.leftover.set(None));
    }
}

/// Whether a body that nobody wants has taken too long.
pub(super) fn is_overdue() -> bool {
    let end = CALL.with_borrow(|call| call.leftover.get());
    end.is_some_and(|end| Instant::now() >= end)
}

fn watching() -> Option<Rc<dyn Watch>> {
    CALL.with_borrow(|call| call.watch.borrow().clone())
}

/// Has the calls of this thread followed, until the guard is dropped. They are an exchange of their own,
/// also where the thread is in the middle of another.
pub(super) fn watch(watch: impl Watch + 'static) -> Aside {
    let watch: Rc<dyn Watch> = Rc::new(watch);
    let before = aside();
    CALL.with_borrow(|call| call.watch.replace(Some(watch)));
    before
}

/// Puts aside what is known of this thread's call, until the guard is dropped: code runs that may make
/// others. Nobody follows those.
pub(super) fn aside() -> Aside {
    Aside(CALL.take())
}

#[must_use = "what was put aside is back when it is dropped"]
pub(super) struct Aside(Call);

impl Drop for Aside {
    fn drop(&mut self) {
        // Not while the cell is borrowed.
        drop(CALL.replace(std::mem::take(&mut self.0)));
    }
}
