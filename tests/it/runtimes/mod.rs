//! K11: one lane, several runtimes, at once and one after the other; and none at all.

mod ending;
mod several;
mod without;

use crate::support::Flavour;

const FLAVOURS: [Flavour; 2] = [Flavour::CurrentThread, Flavour::MultiThread];
