//! [`Modules`]: the program and the libraries that are loaded, and how their functions are unwound.
//!
//! All of it is read through the files in which the system shows the process. So a library that is
//! unloaded meanwhile is an error, and nothing worse.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

use gimli::{
    BaseAddresses, EhFrame, EhFrameHdr, LittleEndian, Pointer, UnwindContext, UnwindSection as _,
    UnwindTableRow,
};

/// The program and the libraries that are loaded.
#[derive(Debug)]
pub(super) struct Modules {
    memory: File,
    mappings: Vec<Mapping>,
    /// By the addresses where they begin.
    known: HashMap<u64, Option<Rc<Module>>>,
}

/// A range of addresses with code, and where the module begins that it is part of.
#[derive(Debug)]
struct Mapping {
    range: Range<u64>,
    module: u64,
}

/// The tables of a module.
#[derive(Debug)]
struct Module {
    bases: BaseAddresses,
    index: Vec<u8>,
    frames: Vec<u8>,
}

impl Modules {
    /// Finds out what is loaded.
    pub(super) fn load() -> io::Result<Modules> {
        // The names of files may be of any bytes.
        let maps = fs::read("/proc/self/maps")?;
        let maps = String::from_utf8_lossy(&maps);
        let mut module = ("", 0);
        let mut mappings = Vec::new();
        for line in maps.lines() {
            // The range, the access, and after three more words the name of the file.
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let Some((start, end)) = words.first().and_then(|range| range.split_once('-')) else {
                continue;
            };
            let number = |digits| u64::from_str_radix(digits, 16).unwrap_or_default();
            let range = number(start)..number(end);
            match words.get(5) {
                Some(name) if *name != module.0 => module = (name, range.start),
                _ => {}
            }
            if words[1].contains('x') {
                mappings.push(Mapping {
                    range,
                    module: module.1,
                });
            }
        }
        Ok(Modules {
            memory: File::open("/proc/self/mem")?,
            mappings,
            known: HashMap::new(),
        })
    }

    /// Calls `f` with how the function that has this instruction is unwound there.
    pub(super) fn row_at<R>(
        &mut self,
        address: u64,
        context: &mut UnwindContext<usize>,
        f: impl FnOnce(&UnwindTableRow<usize>) -> R,
    ) -> Option<R> {
        let has = |mapping: &&Mapping| mapping.range.contains(&address);
        let start = self.mappings.iter().find(has)?.module;
        if !self.known.contains_key(&start) {
            let module = self.read_module(start).map(Rc::new);
            self.known.insert(start, module);
        }
        let module = self.known.get(&start)?.clone()?;
        let index = EhFrameHdr::new(&module.index, LittleEndian);
        let index = index.parse(&module.bases, 8).ok()?;
        let frames = EhFrame::new(&module.frames, LittleEndian);
        let row = index.table()?.unwind_info_for_address(
            &frames,
            &module.bases,
            context,
            address,
            EhFrame::cie_from_offset,
        );
        row.ok().map(f)
    }

    /// Reads the tables of the module that begins at `start`, as the format ELF has them.
    fn read_module(&self, start: u64) -> Option<Module> {
        const LOADED: u64 = 1;
        const INDEX: u64 = 0x6474_e550;
        /// A size that is greater is nonsense.
        const MOST: u64 = 1 << 28;

        let read = |at: u64, len: u64| -> Option<Vec<u8>> {
            let mut bytes = vec![0; usize::try_from(len.min(MOST)).ok()?];
            self.memory.read_exact_at(&mut bytes, at).ok()?;
            Some(bytes)
        };
        let number = |bytes: &[u8], at: usize, len: usize| {
            let bytes = bytes.get(at..at + len)?.iter().rev();
            Some(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
        };
        let header = read(start, 64)?;
        // The format, with 64 bits and the lowest byte first.
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let (offset, size) = (number(&header, 32, 8)?, number(&header, 54, 2)?);
        let table = read(start.checked_add(offset)?, size * number(&header, 56, 2)?)?;
        let entries = || table.chunks_exact((size as usize).max(1));
        let of_kind = |kind| {
            let ranges = entries().filter_map(move |entry| {
                let is_it = number(entry, 0, 4)? == kind;
                let (at, len) = (number(entry, 16, 8)?, number(entry, 32, 8)?);
                is_it.then(|| at..at.saturating_add(len))
            });
            ranges.collect::<Vec<_>>()
        };
        let loaded = of_kind(LOADED);
        let moved = start.wrapping_sub(loaded.first()?.start & !0xfff);
        let index_at = of_kind(INDEX).first()?.clone();
        let index_start = index_at.start.wrapping_add(moved);
        let index = read(index_start, index_at.end - index_at.start)?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(index_start);
        let parsed = EhFrameHdr::new(&index, LittleEndian).parse(&bases, 8);
        let Pointer::Direct(frames_start) = parsed.ok()?.eh_frame_ptr() else {
            return None;
        };
        let frames_at = frames_start.wrapping_sub(moved);
        let around = loaded.iter().find(|range| range.contains(&frames_at))?;
        let frames = read(frames_start, around.end - frames_at)?;
        Some(Module {
            bases: bases.set_eh_frame(frames_start),
            index,
            frames,
        })
    }
}
