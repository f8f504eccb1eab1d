//! The tutorial, held against its programs.
//!
//! That the blocks of a chapter compile and that its program runs is held elsewhere, where they are
//! tested as documentation. Here it is that the reader is shown what runs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The text of a chapter and that of its program, with the names of the files.
struct Chapter {
    document: String,
    text: String,
    program: String,
    code: String,
}

/// By number.
fn chapters() -> BTreeMap<String, Chapter> {
    let mut programs = numbered("examples", '_');
    let mut chapters = BTreeMap::new();
    for (number, document) in numbered("docs", '-') {
        let program = programs.remove(&number);
        let program = program.unwrap_or_else(|| panic!("chapter {number} has no program"));
        let chapter = Chapter {
            text: read(&document),
            code: read(&program),
            document: name(&document),
            program: name(&program),
        };
        chapters.insert(number, chapter);
    }
    assert!(programs.is_empty(), "without a chapter: {programs:?}");
    assert!(chapters.len() > 5, "the chapters were not found");
    chapters
}

/// The files of a folder that begin with two digits, by these.
fn numbered(folder: &str, then: char) -> BTreeMap<String, PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("a folder can be read").path();
        if let Some((number, _)) = name(&path).split_once(then)
            && number.len() == 2
            && number.chars().all(|c| c.is_ascii_digit())
        {
            let twice = found.insert(number.to_owned(), path);
            assert_eq!(twice, None, "two files for {number}");
        }
    }
    found
}

fn name(path: &Path) -> String {
    let name = path.file_name().expect("a file has a name");
    name.to_string_lossy().into_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("it is text")
}

/// What stands in the fences of this kind.
fn blocks<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let opening = format!("```{kind}\n");
    let mut blocks = Vec::new();
    for part in text.split(&opening).skip(1) {
        blocks.push(part.split("```").next().unwrap_or_default());
    }
    blocks
}

#[test]
fn what_a_chapter_shows_is_in_its_program() {
    for chapter in chapters().values() {
        let blocks = blocks(&chapter.text, "rust");
        assert!(!blocks.is_empty(), "{} shows nothing", chapter.document);
        for block in blocks {
            is_in(block, &chapter.document, &chapter.code, &chapter.program);
        }
    }
}

#[test]
fn what_is_shown_of_a_service_is_in_its_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = read(&root.join("docs/service.md"));
    let code = read(&root.join("examples/service.rs"));
    let blocks = blocks(&text, "rust");
    // The last is for a program that has more than one lane.
    let [handler, end, _] = blocks[..] else {
        panic!("a block more, or less: {}", blocks.len());
    };
    for block in [handler, end] {
        is_in(block, "service.md", &code, "service.rs");
    }
}

/// What a block imports it needs to be tested by itself, and the program has its own.
fn is_in(block: &str, document: &str, code: &str, program: &str) {
    let shown = block.split("\n\n").map(|part| part.trim_matches('\n'));
    for part in shown.filter(|part| !part.starts_with("use ")) {
        assert!(
            code.contains(part),
            "{document} shows what is not in {program}:\n{part}"
        );
    }
}

#[test]
fn a_chapter_says_how_its_program_is_run_and_what_it_prints() {
    for chapter in chapters().values() {
        let program = chapter.program.trim_end_matches(".rs");
        let command = format!("--example {program}");
        let shown = blocks(&chapter.text, "text");
        assert!(
            shown.iter().any(|text| text.contains(&command)),
            "{} does not run {program}",
            chapter.document
        );
        assert!(
            chapter.code.contains(&command),
            "{program} does not say how it is run"
        );
    }
}

#[test]
fn the_chapters_lead_to_each_other_and_back() {
    let chapters: Vec<Chapter> = chapters().into_values().collect();
    let leads = |from: &Chapter, name: &str, to: &str| {
        let link = format!("[{name}]: {to}\n");
        assert!(from.text.contains(&link), "{}: {link}", from.document);
    };
    for pair in chapters.windows(2) {
        leads(&pair[0], "next", &pair[1].document);
        leads(&pair[1], "previous", &pair[0].document);
    }
    let last = chapters.last().expect("there are some");
    assert!(!last.text.contains("[next]:"), "{}", last.document);
    let contents = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tutorial.md"));
    for chapter in &chapters {
        leads(chapter, "contents", "tutorial.md");
        leads(
            chapter,
            "program",
            &format!("../examples/{}", chapter.program),
        );
        assert!(contents.contains(&chapter.document), "{}", chapter.document);
    }
}

/// What the pages refer to among the files of this project is there.
#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs")).expect("the folder is there") {
        pages.push(entry.expect("a folder can be read").path());
    }
    let (mut links, mut dead) = (0, Vec::new());
    for page in pages
        .iter()
        .filter(|page| page.extension().is_some_and(|end| end == "md"))
    {
        let text = fs::read_to_string(page).expect("a page is text");
        let folder = page.parent().expect("it is in a folder");
        // `](target)`, and `[name]: target` at the beginning of a line.
        let inline = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let named = text
            .lines()
            .filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
        for target in inline.chain(named.map(|(_, target)| target)) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            links += 1;
            if !folder.join(file).exists() {
                dead.push(format!("{}: {target}", name(page)));
            }
        }
    }
    assert!(links > 100, "the links were not found");
    assert!(dead.is_empty(), "{dead:#?}");
}
