//! Archives and compression.

use std::io::{self, Read, Write};

use crate::through::{Seen, text, writes_and_reads};

fn content(file: usize) -> Vec<u8> {
    (0..3000).map(|n| (n * (file + 3) / 7) as u8).collect()
}

fn contents(write: &mut dyn Write) -> Seen<()> {
    (0..4)
        .try_for_each(|file| write.write_all(&content(file)))
        .map_err(text)
}

fn all(read: &mut dyn Read) -> Seen<Vec<u8>> {
    let mut all = Vec::new();
    read.read_to_end(&mut all).map_err(text)?;
    Ok(all)
}

#[test]
fn tar() {
    fn write(out: &mut dyn Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(out);
        for file in 0..4 {
            let content = content(file);
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("file-{file}"), &content[..])?;
        }
        tar.into_inner()?.flush()
    }
    fn read(from: &mut dyn Read) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        for entry in tar::Archive::new(from).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.push((name, content));
        }
        Ok(files)
    }
    writes_and_reads(
        |out| write(out).map_err(text),
        |from| read(from).map_err(text),
    );
}

#[test]
fn zip() {
    fn write(out: &mut dyn Write) -> zip::result::ZipResult<()> {
        let mut zip = zip::ZipWriter::new_stream(out);
        for file in 0..4 {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("file-{file}"), options)?;
            zip.write_all(&content(file))?;
        }
        zip.finish().map(drop)
    }
    writes_and_reads(
        |out| write(out).map_err(text),
        // A stream has its files one after the other only if their sizes stand before them, which
        // they do not in one that was written as a stream: its bytes are collected first.
        |from| {
            let bytes = io::Cursor::new(all(from)?);
            let mut archive = zip::ZipArchive::new(bytes).map_err(text)?;
            let mut files = Vec::new();
            for file in 0..archive.len() {
                files.push(all(&mut archive.by_index(file).map_err(text)?)?);
            }
            Ok(files)
        },
    );
}

#[test]
fn zstd() {
    writes_and_reads(
        |out| {
            let mut encoder = zstd::Encoder::new(out, 1).map_err(text)?;
            contents(&mut encoder)?;
            encoder.finish().map(drop).map_err(text)
        },
        |from| all(&mut zstd::Decoder::new(from).map_err(text)?),
    );
}

#[test]
fn flate2() {
    writes_and_reads(
        |out| {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
            contents(&mut encoder)?;
            encoder.finish().map(drop).map_err(text)
        },
        |from| all(&mut flate2::read::MultiGzDecoder::new(from)),
    );
}
