//! Values as they are written on the command line: whole numbers, durations, rates.
//!
//! Each parser says in its error what would have been right. Only ASCII digits count: Rust's own
//! parsers take `+5` and `1e3`, which are more often a slip than a wish.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Parses a whole number of `range`, digits only.
pub(crate) fn whole(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> + Clone {
    move |text| {
        let wrong = || {
            format!(
                "must be a whole number from {} to {}",
                range.start(),
                range.end()
            )
        };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number = text.parse::<u64>().map_err(|_| wrong())?;
        if range.contains(&number) {
            Ok(number)
        } else {
            Err(wrong())
        }
    }
}

/// [`whole`], for options that hold a `u32`.
pub(crate) fn count(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, String> + Clone {
    let parse = whole(u64::from(*range.start())..=u64::from(*range.end()));
    move |text| parse(text).map(|number| u32::try_from(number).expect("the range is one of u32"))
}

/// Parses a decimal number of `range`: digits with at most one point.
pub(crate) fn decimal(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| {
        let wrong = || format!("must be a number from {} to {}", range.start(), range.end());
        let number = plain_decimal(text).ok_or_else(wrong)?;
        if range.contains(&number) {
            Ok(number)
        } else {
            Err(wrong())
        }
    }
}

/// Parses a duration such as `750ms`, `1.5s` or `2m`, within `range`.
pub(crate) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let wrong = || {
            format!(
                "must be a duration from {} to {}, with its unit: 750ms, 1.5s, 2m",
                short(*range.start()),
                short(*range.end())
            )
        };
        let (digits, unit_ms) = if let Some(digits) = text.strip_suffix("ms") {
            (digits, 1.0)
        } else if let Some(digits) = text.strip_suffix('s') {
            (digits, 1_000.0)
        } else if let Some(digits) = text.strip_suffix('m') {
            (digits, 60_000.0)
        } else {
            return Err(wrong());
        };
        let number = plain_decimal(digits).ok_or_else(wrong)?;
        // Rounded to whole microseconds, so that 0.1s is 100ms and not a little more.
        let micros = (number * unit_ms * 1_000.0).round();
        if !(0.0..=1e15).contains(&micros) {
            return Err(wrong());
        }
        let value = Duration::from_micros(micros as u64);
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(wrong())
        }
    }
}

/// [`duration`], for what is counted in milliseconds: a part of one is refused rather than dropped.
pub(crate) fn duration_ms(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    let parse = duration(range);
    move |text| {
        parse(text).and_then(|value| match value.subsec_micros() % 1_000 {
            0 => Ok(value),
            _ => Err("must be whole milliseconds: 1234ms, 1.234s".to_owned()),
        })
    }
}

/// Digits with at most one point, nothing else; at most 15 characters, which a float holds exactly.
fn plain_decimal(text: &str) -> Option<f64> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let points = text.bytes().filter(|&byte| byte == b'.').count();
    if digits == 0 || points > 1 || digits + points != text.len() || text.len() > 15 {
        return None;
    }
    text.parse().ok()
}

/// A duration as a reader would write it: `750ms`, `1.5s`, `2m`.
pub(crate) fn short(value: Duration) -> String {
    let ms = value.as_secs_f64() * 1_000.0;
    if value.is_zero() {
        "0ms".to_owned()
    } else if ms < 1_000.0 {
        format!("{ms}ms")
    } else if value.as_secs().is_multiple_of(60) && value.subsec_nanos() == 0 {
        format!("{}m", value.as_secs() / 60)
    } else {
        format!("{}s", value.as_secs_f64())
    }
}

/// Milliseconds as seconds, with as many decimals as it takes: `18s`, `0.02s`.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}s", ms as f64 / 1_000.0)
}

/// `text` fit for one line of an error: control characters escaped, and not longer than a line.
pub(crate) fn shown(text: &str) -> String {
    const ROOM: usize = 200;
    let escape = |c: char| match c {
        c if c.is_control() => c.escape_default().collect(),
        c => String::from(c),
    };
    let escaped: String = text.chars().take(ROOM + 1).map(escape).collect();
    if escaped.chars().count() <= ROOM {
        return escaped;
    }
    let start: String = escaped.chars().take(ROOM).collect();
    format!("{start}... ({} bytes)", text.len())
}

/// `1 call`, `20 calls`.
pub(crate) fn plural(number: impl Into<u64> + Display + Copy, noun: &str) -> String {
    let ending = if number.into() == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{decimal, duration, duration_ms, plural, short, shown, whole};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn whole_numbers_are_digits_within_their_range() {
        let parse = whole(1..=10_000);
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("10000"), Ok(10_000));
        for wrong in [
            "0",
            "10001",
            "1000000000",
            "-1",
            "+1",
            "1e3",
            "",
            " 1",
            "٣",
            "1.0",
        ] {
            assert_eq!(
                parse(wrong),
                Err("must be a whole number from 1 to 10000".to_owned()),
                "{wrong:?}"
            );
        }
        assert!(parse(&"9".repeat(20)).is_err());
    }

    #[test]
    fn durations_need_a_unit() {
        let parse = duration(MS(0)..=MS(60_000));
        assert_eq!(parse("750ms"), Ok(MS(750)));
        assert_eq!(parse("1.5s"), Ok(MS(1_500)));
        assert_eq!(parse("0.1s"), Ok(MS(100)));
        assert_eq!(parse("1m"), Ok(MS(60_000)));
        for wrong in [
            "", "5", "s", "ms", "-1s", "1e3s", "61s", "1 s", "1h", "..5s", "٣s", "NaNs",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_counted_in_milliseconds_has_no_parts_of_one() {
        let parse = duration_ms(MS(1)..=MS(60_000));
        assert_eq!(parse("1.234s"), Ok(MS(1_234)));
        assert_eq!(parse("1m"), Ok(MS(60_000)));
        for wrong in ["1.9ms", "1.2345s", "0.5001s"] {
            let reason = parse(wrong).expect_err(wrong);
            assert!(reason.starts_with("must be whole milliseconds"), "{reason}");
        }
        assert!(
            parse("0.5ms")
                .expect_err("too short")
                .contains("from 1ms to 1m")
        );
    }

    #[test]
    fn decimals_are_digits_with_a_point() {
        let parse = decimal(0.01..=1_000.0);
        assert_eq!(parse("2.5"), Ok(2.5));
        for wrong in ["0", "inf", "NaN", "1e2", "-1", "1001", "", "1,5"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_shown_stays_on_one_line() {
        assert_eq!(shown("a\r\nb"), "a\\r\\nb");
        assert!(shown(&"x".repeat(65_536)).len() < 230);
        assert_eq!(short(MS(1_500)), "1.5s");
        assert_eq!(short(MS(120_000)), "2m");
        assert_eq!(plural(1u32, "call"), "1 call");
        assert_eq!(plural(20u32, "call"), "20 calls");
    }
}
