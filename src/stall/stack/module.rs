//! An executable file or shared library that is mapped.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use object::{
    LittleEndian, Object, ObjectSection, ObjectSegment,
    read::{ReadCache, elf::ElfFile64},
};

use super::{
    cfi::Tables,
    memory::Live,
    symbols::{Name, Symbols},
};
use crate::sync::Mutex;

type Elf<'data> = ElfFile64<'data, LittleEndian, &'data ReadCache<File>>;

/// So much of the beginning of a file has to be in memory as it is in the file. It has the headers in
/// it, with the places and sizes of everything, and mostly the number of the build.
const BEGINNING: usize = 4096;

#[derive(Debug)]
pub(super) struct Module {
    name: String,
    beginning: Vec<u8>,
    segments: Vec<Segment>,
    tables: Option<Tables>,
    symbols: Mutex<Symbols>,
}

/// A part of the file, and the address that it was linked for.
#[derive(Debug)]
struct Segment {
    offset: u64,
    size: u64,
    address: u64,
}

impl Module {
    /// Reads what is needed to walk through its functions, if the file `path` of the maps, the beginning
    /// of which is mapped at `base`, can be found and is still the one that is mapped.
    pub(super) fn open(path: &Path, base: u64, live: &Live) -> Option<Self> {
        let beginning = live.read(base, BEGINNING)?;
        let candidates = candidates(path);
        let name = candidates.first()?.file_name()?.to_string_lossy();
        let name = name.into_owned();
        let (path, file) = candidates
            .into_iter()
            .find_map(|path| same(&path, &beginning).map(|file| (path, file)))?;
        let symbols = Symbols::of(path, &file.metadata().ok()?);
        let cache = ReadCache::new(file);
        let elf = Elf::parse(&cache).ok()?;
        let segments = elf.segments().map(|segment| {
            let (offset, size) = segment.file_range();
            Segment {
                offset,
                size,
                address: segment.address(),
            }
        });
        Some(Self {
            name,
            beginning,
            segments: segments.collect(),
            tables: tables(&elf),
            symbols: Mutex::new(symbols),
        })
    }

    /// Whether this is what is mapped at `base`.
    pub(super) fn is_at(&self, base: u64, live: &Live) -> bool {
        live.read(base, self.beginning.len())
            .is_some_and(|beginning| beginning == self.beginning)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The address that the byte at this offset of the file was linked for.
    pub(super) fn address_of(&self, offset: u64) -> Option<u64> {
        let found = self.segments.iter().find(|segment| {
            offset
                .checked_sub(segment.offset)
                .is_some_and(|into| into < segment.size)
        })?;
        found.address.checked_add(offset - found.offset)
    }

    pub(super) fn tables(&self) -> Option<&Tables> {
        self.tables.as_ref()
    }

    /// The functions at an address, the innermost first: one, and those that were inlined there.
    pub(super) fn names(&self, address: u64) -> Arc<[Name]> {
        self.symbols.lock().at(address)
    }
}

/// Where the file may be found.
fn candidates(path: &Path) -> Vec<PathBuf> {
    let text = path.to_string_lossy();
    let mut candidates = vec![match text.strip_suffix(" (deleted)") {
        // By now there may be another of its name; that is looked at.
        Some(path) => PathBuf::from(path),
        None => path.to_owned(),
    }];
    // The program itself can be had although it was replaced, deleted, or is out of reach.
    let program = Path::new("/proc/self/exe");
    if fs::read_link(program).is_ok_and(|target| target == path) {
        candidates.push(program.to_owned());
    }
    candidates
}

/// The file, if it begins so.
fn same(path: &Path, beginning: &[u8]) -> Option<File> {
    // To open anything else may block, or do something.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let mut bytes = Vec::with_capacity(beginning.len());
    (&file)
        .take(beginning.len() as u64)
        .read_to_end(&mut bytes)
        .ok()?;
    (bytes == beginning).then_some(file)
}

fn tables(elf: &Elf<'_>) -> Option<Tables> {
    let section = |name: &str| {
        let section = elf.section_by_name(name)?;
        Some((section.address(), section.data().ok()?))
    };
    let address = |name: &str| elf.section_by_name(name).map(|found| found.address());
    Tables::new(
        section(".eh_frame")?,
        section(".eh_frame_hdr"),
        address(".text"),
        address(".got"),
    )
}
