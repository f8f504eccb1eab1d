//! Programs without their symbols.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
};

use crate::looking::{PATIENCE, eventually, naps};

/// In a process of its own: prints the stack of a thread that sleeps.
fn child(why: &str) {
    if why == "replaced" {
        let program = env::current_exe().expect("it is there");
        fs::remove_file(&program).expect("it may be removed while it runs");
        fs::write(&program, "another program").expect("its place is free");
    }
    let (told, number) = mpsc::channel();
    thread::spawn(move || naps(told));
    let begun = number.recv_timeout(PATIENCE).expect("it begins");
    let stack = eventually(begun.thread, |stack| stack.frames().len() > 4);
    let blame = stack.blame().and_then(|frame| frame.function.as_ref());
    println!("\nblame: {blame:?}\nend: {:?}\n{stack}", stack.end());
}

#[test]
fn a_program_without_its_symbols_and_one_that_was_replaced() {
    const CHILD: &str = "LONGSHORE_STACKS_CHILD";
    if let Ok(why) = env::var(CHILD) {
        return child(&why);
    }
    for (option, why) in [
        ("--strip-debug", "no lines"),
        ("--strip-all", "no names"),
        ("--strip-debug", "replaced"),
    ] {
        let name = format!("longshore{option}-{}", std::process::id());
        let program = env::temp_dir().join(name);
        let strip = Command::new("strip")
            .args([option, "-o"])
            .arg(&program)
            .arg(env::current_exe().expect("it is there"))
            .status();
        assert!(
            strip.is_ok_and(|status| status.success()),
            "binutils are there"
        );
        let this = "programs::a_program_without_its_symbols_and_one_that_was_replaced";
        let child = Command::new(&program)
            .args(["--exact", "--nocapture", this])
            .env(CHILD, why)
            .output();
        fs::remove_file(&program).expect("it was made");
        let text = child.expect("it can be run").stdout;
        let text = String::from_utf8(text).expect("names are text");
        assert!(text.contains("end: Thread"), "{why}: {text}");
        if why == "no names" {
            assert!(text.contains("blame: None"), "{text}");
            let mut names = names_of(&program, &text);
            assert!(names.any(|name| name.contains("naps")), "{text}");
        } else {
            assert!(
                text.contains("blame: Some(\"stacks::looking::naps\")"),
                "{why}: {text}"
            );
        }
    }
}

/// The names that this program, which is not stripped, has for the addresses in another's stack.
fn names_of<'a>(program: &Path, text: &'a str) -> impl Iterator<Item = String> + 'a {
    let this: PathBuf = env::current_exe().expect("it is there");
    let symbols = addr2line::Loader::new(this).expect("it has symbols");
    let name = program.file_name().expect("it is a file").to_string_lossy();
    let mark = format!("{name}+0x");
    text.lines().filter_map(move |line| {
        let (_, address) = line.split_once(&mark)?;
        let address = u64::from_str_radix(address.trim(), 16).ok()?;
        symbols.find_symbol(address).map(String::from)
    })
}
