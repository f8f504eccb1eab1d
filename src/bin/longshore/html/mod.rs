//! The result as a page that needs nothing else: no network, no script, no font.
//!
//! It is HTML with drawings in SVG. What has a place in time is placed in percent, so that the
//! browser makes the drawings as wide as there is room and leaves their texts as large as they are;
//! light, dark and paper are matters of `style.css`.

mod axis;
mod calls;
mod document;
mod file;
mod lateness;
mod markup;
mod overview;
mod results;
mod round;
mod strategy;
mod waterfall;

pub(crate) use self::document::{Contents, page};
pub(crate) use self::file::Destination;
