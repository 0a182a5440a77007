use std::io::{Read, Write};

use xz2::read::XzDecoder;
use xz2::write::XzEncoder;

use crate::through::{text, writes_and_reads};

#[test]
fn writes_and_reads_through_streams_of_a_few_bytes() {
    writes_and_reads(
        |out| {
            let content: Vec<u8> = (0..12_000).map(|n| (n * n / 7) as u8).collect();
            let mut encoder = XzEncoder::new(out, 1);
            encoder.write_all(&content).map_err(text)?;
            encoder.finish().map(drop).map_err(text)
        },
        |from| {
            let mut all = Vec::new();
            XzDecoder::new(from).read_to_end(&mut all).map_err(text)?;
            Ok(all)
        },
    );
}
