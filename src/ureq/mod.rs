//! ureq, offloaded whole and really cancelled.

mod call;

pub use self::call::Phase;
