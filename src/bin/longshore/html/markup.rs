//! HTML and SVG as they are written: every text and every value is escaped on its way, there is no
//! way around that, and what is opened is closed.

use std::fmt::{self, Display, Write as _};

/// The attributes of an element. Their names are ours, their values are anybody's.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

/// A document, or the beginning of one.
#[derive(Debug)]
pub(super) struct Markup(String);

impl Markup {
    /// A new document of HTML.
    pub(super) fn document() -> Self {
        Self("<!DOCTYPE html>\n".to_owned())
    }

    /// An element with other elements in it.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        inside: impl FnOnce(&mut Self),
    ) {
        self.start(name, attributes);
        inside(self);
        self.end(name);
    }

    /// An element with text in it, or with nothing.
    pub(super) fn leaf(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        text: impl Display,
    ) {
        self.element(name, attributes, |inside| inside.text(text));
    }

    /// An element that HTML does not close.
    pub(super) fn void(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.start(name, attributes);
    }

    /// A style sheet, in which nothing is anybody's but ours.
    pub(super) fn style(&mut self, sheet: &'static str) {
        debug_assert!(!sheet.contains('<'), "it would end the element");
        self.0.push_str("<style>\n");
        self.0.push_str(sheet);
        self.end("style");
    }

    /// Text between elements.
    pub(super) fn text(&mut self, text: impl Display) {
        let _ = write!(Escaping(&mut self.0), "{text}");
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn start(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.0.push('<');
        self.0.push_str(name);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            let _ = write!(Escaping(&mut self.0), "{value}");
            self.0.push('"');
        }
        self.0.push('>');
    }

    fn end(&mut self, name: &'static str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
        // A line for each block keeps the source legible and costs next to nothing.
        if matches!(name, "section" | "svg" | "tr" | "figure" | "style" | "p") {
            self.0.push('\n');
        }
    }
}

/// Writes what stands for itself in text and between quotes alike.
struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' => self.0.push('\n'),
                // No control character has a meaning in HTML, and some are not allowed at all. Those
                // that turn the direction of writing make a URL look like another one.
                c if c.is_control() || turns(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// Whether it changes the direction of the text that follows.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::Markup;

    fn written(build: impl FnOnce(&mut Markup)) -> String {
        let mut markup = Markup(String::new());
        build(&mut markup);
        markup.into_text()
    }

    #[test]
    fn nothing_gets_out_of_a_text_or_a_value() {
        let hostile = "\"><script>alert('1')</script>&lt;\0\u{202e}\u{61c}\r\n";
        let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;lt;\u{fffd}\u{fffd}\u{fffd}\u{fffd}\n";
        assert_eq!(
            written(|markup| markup.leaf("b", &[("title", &hostile)], hostile)),
            format!("<b title=\"{escaped}\">{escaped}</b>")
        );
    }

    #[test]
    fn elements_are_closed_in_the_order_in_which_they_were_opened() {
        let text = written(|markup| {
            markup.element("ul", &[], |list| {
                list.leaf("li", &[("value", &1)], "one");
                list.element("li", &[], |item| item.void("br", &[]));
            });
        });
        assert_eq!(text, "<ul><li value=\"1\">one</li><li><br></li></ul>");
    }
}
