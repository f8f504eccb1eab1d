//! The table of the comparison, with the figures that the terminal shows.

use super::markup::Markup;
use crate::summary::Summary;
use crate::table::{COLUMNS, name};

/// Draws it. Where it has no room, each row becomes a list with the names of the columns.
pub(super) fn draw(markup: &mut Markup, rows: &[Summary]) {
    markup.element("div", &[("class", &"card")], |card| {
        card.element("table", &[("class", &"results")], |table| {
            table.leaf("caption", &[], "What each strategy took, and what it cost");
            table.element("thead", &[], |head| {
                head.element("tr", &[], |line| {
                    line.leaf("th", &[("scope", &"col")], "strategy");
                    for column in &COLUMNS {
                        line.leaf("th", &[("scope", &"col")], column.name);
                    }
                });
            });
            table.element("tbody", &[], |body| {
                for row in rows {
                    draw_row(body, row);
                }
            });
        });
    });
}

fn draw_row(body: &mut Markup, row: &Summary) {
    let strategy = row.strategy.name();
    body.element("tr", &[("data-strategy", &strategy)], |line| {
        line.element("th", &[("scope", &"row")], |cell| {
            cell.leaf("a", &[("href", &format_args!("#{strategy}"))], name(row));
        });
        for column in &COLUMNS {
            let value = (column.cell)(row);
            line.leaf("td", &[("data-label", &column.name)], value);
        }
    });
}
