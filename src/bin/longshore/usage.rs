//! Reads the command line, and says in one line what is wrong with it.

use std::borrow::Cow;
use std::io::Write as _;

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::mask::masked;
use crate::value::shown;

/// Reads the command line, or prints what the reader asked for (help, version) or did wrong.
pub(crate) fn parse() -> Result<Command, Exit> {
    Cli::try_parse()
        .map(|cli| cli.command)
        .map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // A reader that closes the pipe has seen what it wanted.
                let _ = error.print();
                Exit::Success
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let _ = write!(std::io::stderr(), "{error}");
                Exit::Usage(None)
            }
            _ => Exit::usage(one_line(&error)),
        })
}

/// What was wrong, on one line: clap's own text has three paragraphs, and repeats the value as it
/// came, line breaks and all.
fn one_line(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if let (ErrorKind::ValueValidation, Some(argument), Some(value)) = (
        error.kind(),
        context(ContextKind::InvalidArg),
        context(ContextKind::InvalidValue),
    ) {
        let option = argument.split(' ').next().unwrap_or(argument);
        let reason = std::error::Error::source(error)
            .map(ToString::to_string)
            .unwrap_or_default();
        return format!("{option} '{}': {reason}", shown(&hidden(value)));
    }
    let mut text = error.to_string();
    for kind in [
        ContextKind::InvalidArg,
        ContextKind::InvalidValue,
        ContextKind::InvalidSubcommand,
    ] {
        if let Some(given) = context(kind).filter(|given| !given.is_empty()) {
            text = text.replace(given, &hidden(given));
        }
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let first: Vec<&str> = text
        .split("\n\nUsage")
        .next()
        .unwrap_or(text)
        .split("\n\nFor more")
        .next()
        .unwrap_or(text)
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    format!("{} (see --help)", first.join(" "))
}

/// What was given, and no password of it if it is a URL that is in the wrong place.
pub(crate) fn hidden(given: &str) -> Cow<'_, str> {
    if given.contains("://") || given.contains('@') {
        Cow::Owned(masked(given))
    } else {
        Cow::Borrowed(given)
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::one_line;
    use crate::args::Cli;

    fn error(arguments: &[&str]) -> String {
        one_line(&Cli::try_parse_from(arguments).expect_err("these arguments are wrong"))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// It is laid out by hand, and what is broken again loses its indent.
    #[test]
    fn the_help_fits_into_80_columns_as_it_was_written() {
        let mut all = Cli::command();
        all.build();
        let names = all
            .get_subcommands()
            .map(|command| command.get_name().to_owned());
        for name in names.collect::<Vec<_>>() {
            let command = all.find_subcommand_mut(&name).expect("it was just named");
            let written = [command.get_after_help(), command.get_long_about()];
            let written: Vec<String> = written.iter().flatten().map(ToString::to_string).collect();
            let help = command.render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
            for line in written.iter().flat_map(|text| text.lines()) {
                assert!(help.lines().any(|shown| shown == line), "{name}: {line}");
            }
        }
        let help = all.render_long_help().to_string();
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
    }

    #[test]
    fn a_url_in_the_wrong_place_is_shown_without_its_password() {
        let url = "http://me:canary@h/?key=canary";
        for before in [
            &["compare"][..],
            &["compare", "--calls"],
            &["serve"],
            &["compare", "--runtime"],
            &[],
        ] {
            let line = error(&[&["longshore"], before, &[url]].concat());
            assert!(line.contains("http://me:***@h/?key=***"), "{line}");
            assert!(!line.contains("canary"), "{line}");
        }
    }

    #[test]
    fn errors_are_one_line_and_name_the_range() {
        assert_eq!(
            error(&["longshore", "compare", "--calls", "0"]),
            "--calls '0': must be a whole number from 1 to 10000"
        );
        for arguments in [
            &["longshore", "compare", "--timeout", "\r\n"][..],
            &["longshore", "compare", "--strategies", "serial,swift"],
            &[
                "longshore",
                "compare",
                "--seed",
                "1",
                "--url",
                "http://127.0.0.1/",
            ],
            &["longshore", "compare", "--unknown"],
            &["longshore", "sail"],
            &["longshore", "serve", "--fail", "status:500"],
        ] {
            let line = error(arguments);
            assert!(!line.contains(['\n', '\r']), "{line:?}");
            assert!(line.len() > 20, "{line:?}");
        }
    }
}
