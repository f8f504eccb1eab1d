//! What is mapped where: `/proc/self/maps`.

use std::{
    ffi::OsStr,
    fs, io,
    ops::Range,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A part of the address space.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) range: Range<u64>,
    pub(super) executable: bool,
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// As the kernel writes it: with ` (deleted)` behind it if the file is gone.
    pub(super) file: Option<PathBuf>,
}

/// The parts, in the order of their addresses.
#[derive(Debug, Default)]
pub(super) struct Maps(Vec<Mapping>);

impl Maps {
    pub(super) fn read() -> io::Result<Self> {
        fs::read("/proc/self/maps").map(|text| Self::parse(&text))
    }

    fn parse(text: &[u8]) -> Self {
        Self(text.split(|byte| *byte == b'\n').filter_map(line).collect())
    }

    /// The part that has this address in it.
    pub(super) fn at(&self, address: u64) -> Option<&Mapping> {
        let after = self.0.partition_point(|part| part.range.start <= address);
        let part = self.0.get(after.checked_sub(1)?)?;
        part.range.contains(&address).then_some(part)
    }

    /// Where the beginning of a part's file is mapped, next below it.
    pub(super) fn beginning_of(&self, part: &Mapping) -> Option<u64> {
        let file = part.file.as_deref();
        self.0
            .iter()
            .rev()
            .skip_while(|other| other.range.start > part.range.start)
            .take_while(|other| other.file.is_none() || other.file.as_deref() == file)
            .find(|other| other.file.is_some() && other.offset == 0)
            .map(|other| other.range.start)
    }
}

/// `55d0c8a3c000-55d0c8a3e000 r-xp 00002000 fd:01 1835056    /usr/bin/shop`
fn line(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut text = || str::from_utf8(fields.next()?).ok();
    let (start, end) = text()?.split_once('-')?;
    let permissions = text()?;
    let offset = text()?;
    let (_device, _inode) = (text()?, text()?);
    let name = fields.next().unwrap_or_default().trim_ascii_start();
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    Some(Mapping {
        range: number(start)?..number(end)?,
        executable: permissions.contains('x'),
        offset: number(offset)?,
        // `[stack]` and its like are no files.
        file: name
            .starts_with(b"/")
            .then(|| Path::new(OsStr::from_bytes(name)).to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"1000-2000 r--p 00000000 fd:01 7    /a b\n\
        2000-3000 r-xp 00001000 fd:01 7    /a b\n\
        3000-4000 rw-p 00000000 00:00 0 \n\
        5000-6000 r--p 00000000 fd:01 8    /lib/c.so (deleted)\n\
        6000-7000 r-xp 00001000 fd:01 8    /lib/c.so (deleted)\n\
        7000-7100 r-xp 00000000 00:00 0    [vdso]\n\
        what is this\n";

    #[test]
    fn an_address_is_in_one_part_or_none() {
        let maps = Maps::parse(TEXT);
        let part = maps.at(0x2fff).expect("it is mapped");
        assert_eq!(part.range, 0x2000..0x3000);
        assert!(part.executable);
        assert_eq!(part.offset, 0x1000);
        assert_eq!(part.file.as_deref(), Some(Path::new("/a b")));
        assert_eq!(maps.beginning_of(part), Some(0x1000));
        let part = maps.at(0x6000).expect("it is mapped");
        assert_eq!(part.file.as_deref(), Some(Path::new("/lib/c.so (deleted)")));
        assert_eq!(maps.beginning_of(part), Some(0x5000));
        assert_eq!(maps.at(0x7000).and_then(|part| part.file.clone()), None);
        for address in [0, 0xfff, 0x4000, 0x4fff, 0x7100, u64::MAX] {
            assert_eq!(maps.at(address), None, "{address:#x}");
        }
    }

    #[test]
    fn this_function_is_mapped_from_a_file() {
        let maps = Maps::read().expect("a test may look into itself");
        let here = this_function_is_mapped_from_a_file as fn() as usize as u64;
        let part = maps.at(here).expect("it is mapped");
        assert!(part.executable && part.file.is_some());
        assert!(maps.beginning_of(part).is_some());
    }
}
