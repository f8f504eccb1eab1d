//! The files that code of this process comes from.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{maps::Maps, memory::Live, module::Module};
use crate::sync::Mutex;

/// What has been read of files, for the whole process: it takes long and is large.
static READ: Mutex<Vec<(PathBuf, Arc<Module>)>> = Mutex::new(Vec::new());

/// A program that loads and unloads more than this begins anew.
const MOST: usize = 256;

/// What is mapped, at the time of one look.
#[derive(Debug)]
pub(in crate::stall) struct Modules {
    maps: Maps,
    live: Live,
    /// By where the file begins; `None` if it cannot be used.
    seen: Vec<(u64, Option<Arc<Module>>)>,
}

/// Where an address belongs.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) module: Arc<Module>,
    /// The address in the file.
    pub(super) address: u64,
}

impl Modules {
    pub(in crate::stall) fn now() -> io::Result<Self> {
        Ok(Self {
            maps: Maps::read()?,
            live: Live::open()?,
            seen: Vec::new(),
        })
    }

    /// The code at an address.
    pub(super) fn at(&mut self, address: u64) -> Option<Place> {
        let part = self.maps.at(address).filter(|part| part.executable)?;
        let file = part.file.as_deref()?;
        let base = self.maps.beginning_of(part)?;
        let offset = address - part.range.start + part.offset;
        let known = self.seen.iter().find(|(other, _)| *other == base);
        let module = match known {
            Some((_, module)) => module.clone(),
            None => {
                let module = read(file, base, &self.live);
                self.seen.push((base, module.clone()));
                module
            }
        }?;
        let address = module.address_of(offset)?;
        Some(Place { module, address })
    }

    /// Whether there is code at this address, whoever's.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.maps.at(address).is_some_and(|part| part.executable)
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }
}

fn read(path: &Path, base: u64, live: &Live) -> Option<Arc<Module>> {
    let mut read = READ.lock();
    let known = read
        .iter()
        .find(|(other, module)| other == path && module.is_at(base, live));
    if let Some((_, module)) = known {
        return Some(module.clone());
    }
    let module = Arc::new(Module::open(path, base, live)?);
    // Of a library that was replaced and loaded again, the new one is wanted.
    read.retain(|(other, _)| other != path);
    if read.len() >= MOST {
        read.clear();
    }
    read.push((path.to_owned(), module.clone()));
    Some(module)
}
