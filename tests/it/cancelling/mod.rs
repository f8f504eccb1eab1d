//! K5: a cancel raises the flag, runs each hook once, and returns to the caller at once.

mod hooks;
mod outcomes;
mod tokens;
