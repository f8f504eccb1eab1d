//! The calls of a round as a table, for who does not see the drawing and who wants the figures.

use super::markup::Markup;
use super::waterfall::{SINGLE, began, thread};
use crate::table::seconds;
use crate::value::{plural, shown};
use crate::wire::Ended;

const TITLES: [&str; 6] = ["call", "thread", "began", "waited", "took", "outcome"];

/// Draws it, folded up. With more calls than are drawn one by one there is none: who needs these
/// figures wants them as JSON.
pub(super) fn draw(markup: &mut Markup, ended: &[Ended], urls: &[String]) {
    if ended.is_empty() || ended.len() > SINGLE {
        return;
    }
    let mut ended: Vec<&Ended> = ended.iter().collect();
    ended.sort_by_key(|call| call.index);
    markup.element("details", &[], |details| {
        details.leaf("summary", &[], "The calls in figures");
        let table = |table: &mut Markup| {
            table.element("tr", &[], |row| {
                for title in TITLES {
                    row.leaf("th", &[("scope", &"col")], title);
                }
            });
            for call in ended {
                table.element("tr", &[("data-call", &(call.index + 1))], |row| {
                    draw_call(row, call, urls);
                });
            }
        };
        details.element("div", &[("class", &"scroll")], |scroll| {
            scroll.element("table", &[("class", &"figures")], table);
        });
    });
}

fn draw_call(row: &mut Markup, call: &Ended, urls: &[String]) {
    let began = began(call);
    row.leaf("td", &[], call.index + 1);
    row.leaf("td", &[], thread(Some(call)));
    row.leaf("td", &[], seconds(began));
    row.leaf("td", &[], seconds(began - call.queued_s));
    row.leaf("td", &[], seconds(call.end_s - began));
    row.element("td", &[], |cell| {
        match &call.answer {
            Ok(answer) => {
                cell.text(format_args!(
                    "{}, {}",
                    answer.status,
                    plural(answer.bytes, "byte")
                ));
            }
            Err(failure) => cell.leaf(
                "strong",
                &[],
                format_args!("\u{2717} {}: {}", failure.kind, shown(&failure.detail)),
            ),
        }
        cell.text(" ");
        let url = urls.get(call.index % urls.len().max(1));
        cell.leaf("span", &[("class", &"url")], url.map_or("", String::as_str));
    });
}
