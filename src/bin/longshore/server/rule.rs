//! Which part of the requests fails, and how.

use crate::random::Random;

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Status(u16),
    Reset,
    Hang,
    Truncate,
    /// A whole answer of half the size.
    Size,
}

/// `--fail KIND:RATE`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rule {
    failure: Failure,
    rate: f64,
}

impl Rule {
    /// Reads `status:500:0.1`, `reset:0.05` and the like.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            "must be status:CODE:RATE, reset:RATE, hang:RATE, truncate:RATE or size:RATE, \
             CODE from 400 to 599 and RATE from 0 to 1"
                .to_owned()
        };
        let (kind, rate) = text.rsplit_once(':').ok_or_else(wrong)?;
        let rate = crate::value::decimal(0.0..=1.0)(rate).map_err(|_| wrong())?;
        let failure = match kind {
            "reset" => Failure::Reset,
            "hang" => Failure::Hang,
            "truncate" => Failure::Truncate,
            "size" => Failure::Size,
            _ => {
                let code = kind.strip_prefix("status:").ok_or_else(wrong)?;
                let code = crate::value::whole(400..=599)(code).map_err(|_| wrong())?;
                Failure::Status(u16::try_from(code).expect("at most 599"))
            }
        };
        Ok(Self { failure, rate })
    }

    /// The rates of all rules together, which must not be over 1.
    pub(crate) fn total(rules: &[Self]) -> f64 {
        rules.iter().map(|rule| rule.rate).sum()
    }

    /// How the next request fails, if it does: one draw, shared out among the rules.
    pub(crate) fn draw(rules: &[Self], random: &mut Random) -> Option<Failure> {
        let mut at = random.fraction();
        for rule in rules {
            if at < rule.rate {
                return Some(rule.failure);
            }
            at -= rule.rate;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Rule};
    use crate::random::Random;

    #[test]
    fn rules_are_read_with_their_rates() {
        let rule = Rule::parse("status:503:0.25").expect("well-formed");
        assert_eq!(
            rule,
            Rule {
                failure: Failure::Status(503),
                rate: 0.25
            }
        );
        assert!(Rule::parse("hang:1").is_ok());
        for wrong in [
            "",
            "hang",
            "hang:",
            "hang:2",
            "status:0.1",
            "status:99:1",
            "nap:0.1",
            "a:b:c",
        ] {
            assert!(Rule::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn rates_are_kept() {
        let rules = [
            Rule {
                failure: Failure::Reset,
                rate: 0.25,
            },
            Rule {
                failure: Failure::Hang,
                rate: 0.5,
            },
        ];
        let mut random = Random::new(1);
        let drawn: Vec<_> = (0..10_000)
            .map(|_| Rule::draw(&rules, &mut random))
            .collect();
        let of = |wanted| drawn.iter().filter(|&&failure| failure == wanted).count();
        assert!((2_200..2_800).contains(&of(Some(Failure::Reset))));
        assert!((4_700..5_300).contains(&of(Some(Failure::Hang))));
        assert!((2_200..2_800).contains(&of(None)));
    }
}
