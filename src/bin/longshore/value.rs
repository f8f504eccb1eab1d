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
        let number = Decimal::parse(text).ok_or_else(wrong)?.to_float();
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
    move |text| with_unit(&range, text).map(|(value, _)| value)
}

/// [`duration`], for what is counted in milliseconds: a part of one is refused rather than dropped.
pub(crate) fn duration_ms(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| match with_unit(&range, text)? {
        (value, ms) if ms.is_whole() => Ok(value),
        _ => Err("must be whole milliseconds: 1234ms, 1.234s".to_owned()),
    }
}

/// A number with its unit: rounded to whole microseconds, and as it was written, in milliseconds.
fn with_unit(range: &RangeInclusive<Duration>, text: &str) -> Result<(Duration, Decimal), String> {
    let wrong = || {
        format!(
            "must be a duration from {} to {}, with its unit: 750ms, 1.5s, 2m",
            short(*range.start()),
            short(*range.end())
        )
    };
    let (digits, unit_ms) = if let Some(digits) = text.strip_suffix("ms") {
        (digits, 1)
    } else if let Some(digits) = text.strip_suffix('s') {
        (digits, 1_000)
    } else if let Some(digits) = text.strip_suffix('m') {
        (digits, 60_000)
    } else {
        return Err(wrong());
    };
    let ms = Decimal::parse(digits).ok_or_else(wrong)?.times(unit_ms);
    let micros = u64::try_from(ms.times(1_000).round()).map_err(|_| wrong())?;
    let value = Duration::from_micros(micros);
    if range.contains(&value) {
        Ok((value, ms))
    } else {
        Err(wrong())
    }
}

/// A number as it was written, and no other one that is next to it.
#[derive(Clone, Copy)]
struct Decimal {
    /// All the digits, before the point and after it.
    digits: u128,
    /// What they are divided by: as many noughts as digits after the point.
    by: u128,
}

impl Decimal {
    /// Digits with at most one point, nothing else; at most 15 characters, which a float holds exactly.
    fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{part}");
        if text.len() > 15 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            digits: digits.parse().ok()?,
            by: 10_u128.pow(u32::try_from(part.len()).ok()?),
        })
    }

    fn times(self, factor: u128) -> Self {
        let digits = self.digits * factor;
        Self { digits, ..self }
    }

    fn is_whole(self) -> bool {
        self.digits.is_multiple_of(self.by)
    }

    fn round(self) -> u128 {
        (self.digits + self.by / 2) / self.by
    }

    fn to_float(self) -> f64 {
        self.digits as f64 / self.by as f64
    }
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
        assert_eq!(parse("1.000ms"), Ok(MS(1)));
        for wrong in [
            "1.9ms",
            "1.0004ms",
            "1.0000000001ms",
            "1.2345s",
            "0.5001s",
            "0.50000000001s",
            "0.1000000001m",
        ] {
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
