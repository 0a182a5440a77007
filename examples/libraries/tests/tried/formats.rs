//! Formats of data and of pictures.

use std::io::{self, BufReader, Cursor, Write};

use ciborium::Value;
use protobuf::Message;
use protobuf::well_known_types::wrappers::StringValue;
use serde::{Deserialize, Serialize};
use switchback::{io::Blocking, prelude::*, spawn};

use crate::support::in_root_fiber;
use crate::through::{Seen, reads, text, writes, writes_and_reads, written};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Record {
    name: String,
    numbers: Vec<u32>,
    note: Option<String>,
}

fn records() -> Vec<Record> {
    let record = |n: u32| Record {
        name: format!("record {n}"),
        numbers: (0..n % 20).map(|m| m * n).collect(),
        note: (n % 3 == 0).then(|| "a \"note\", with commas\n".repeat(n as usize % 5)),
    };
    (0..200).map(record).collect()
}

#[test]
fn csv() {
    writes_and_reads(
        |out| {
            let mut csv = csv::Writer::from_writer(out);
            for record in records() {
                let note = record.note.unwrap_or_default();
                csv.serialize((record.name, note)).map_err(text)?;
            }
            csv.flush().map_err(text)
        },
        |from| {
            let mut csv = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(from);
            let rows = csv.deserialize::<(String, String)>();
            rows.collect::<Result<Vec<_>, _>>().map_err(text)
        },
    );
}

#[test]
fn serde_json() {
    writes_and_reads(
        |out| serde_json::to_writer(out, &records()).map_err(text),
        // It reads byte by byte.
        |from| serde_json::from_reader::<_, Vec<Record>>(BufReader::new(from)).map_err(text),
    );
}

#[test]
fn ciborium() {
    writes_and_reads(
        |out| ciborium::into_writer(&records(), out).map_err(text),
        |from| ciborium::from_reader::<Vec<Record>, _>(from).map_err(text),
    );
}

/// Data from strangers that is nested as deep as the library allows: on the default stack of a
/// fiber, as on that of a thread, this is its error, and no overflow.
#[test]
fn ciborium_reaches_its_own_limit_of_depth() {
    let mut nested = vec![0x81_u8; 100_000];
    nested.push(0);
    in_root_fiber(move || {
        let fiber = spawn(move || ciborium::from_reader::<Value, _>(&nested[..]).is_err());
        assert!(fiber.wait().unwrap());
    });
}

#[test]
fn rmp_serde() {
    writes_and_reads(
        |mut out| rmp_serde::encode::write(&mut out, &records()).map_err(text),
        |from| rmp_serde::from_read::<_, Vec<Record>>(from).map_err(text),
    );
}

#[test]
fn bincode() {
    writes_and_reads(
        |mut out| {
            let config = bincode::config::standard();
            bincode::serde::encode_into_std_write(records(), &mut out, config)
                .map(drop)
                .map_err(text)
        },
        |mut from| -> Seen<Vec<Record>> {
            let config = bincode::config::standard();
            bincode::serde::decode_from_std_read(&mut from, config).map_err(text)
        },
    );
}

#[test]
fn postcard() {
    writes_and_reads(
        |out| postcard::to_io(&records(), out).map(drop).map_err(text),
        |from| -> Seen<Vec<Record>> {
            let mut scratch = [0; 4096];
            let (records, _) = postcard::from_io((from, &mut scratch)).map_err(text)?;
            Ok(records)
        },
    );
}

#[test]
fn protobuf() {
    writes_and_reads(
        |out| {
            let mut message = StringValue::new();
            message.value = "text ".repeat(10_000);
            message.write_to_writer(out).map_err(text)
        },
        |from| Ok(StringValue::parse_from_reader(from).map_err(text)?.value),
    );
}

#[test]
fn capnp() {
    writes_and_reads(
        |out| {
            let mut message = capnp::message::Builder::new_default();
            let value = "text ".repeat(10_000);
            message
                .set_root::<capnp::text::Owned>(&value[..])
                .map_err(text)?;
            capnp::serialize::write_message(out, &message).map_err(text)
        },
        |from| {
            let options = capnp::message::ReaderOptions::new();
            let message = capnp::serialize::read_message(from, options).map_err(text)?;
            let value = message
                .get_root::<capnp::text::Reader<'_>>()
                .map_err(text)?;
            value.to_string().map_err(text)
        },
    );
}

#[test]
fn quick_xml() {
    fn write(out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "<records>")?;
        for record in records() {
            writeln!(
                out,
                "<record name=\"{}\">{:?}</record>",
                record.name, record.numbers
            )?;
        }
        writeln!(out, "</records>")
    }
    reads(written(|out| write(out).map_err(text)), |from| {
        let mut reader = quick_xml::Reader::from_reader(BufReader::new(from));
        reader.config_mut().check_end_names = true;
        let (mut events, mut depth, mut buf) = (Vec::new(), 0, Vec::new());
        loop {
            match reader.read_event_into(&mut buf).map_err(text)? {
                quick_xml::events::Event::Eof if depth > 0 => return Err("it is cut off".into()),
                quick_xml::events::Event::Eof => return Ok(events),
                event => {
                    depth += i32::from(matches!(event, quick_xml::events::Event::Start(_)));
                    depth -= i32::from(matches!(event, quick_xml::events::Event::End(_)));
                    events.push(format!("{event:?}"));
                }
            }
            buf.clear();
        }
    });
}

/// It reads pictures only where it can seek, so from a file or from memory.
#[test]
fn png() {
    const SIZE: usize = 200;
    fn pixels() -> Vec<u8> {
        (0..SIZE * SIZE * 3).map(|n| (n * n / 11) as u8).collect()
    }
    fn write(out: &mut dyn Write) -> Seen<()> {
        let mut encoder = png::Encoder::new(out, SIZE as u32, SIZE as u32);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().map_err(text)?;
        writer.write_image_data(&pixels()).map_err(text)?;
        writer.finish().map_err(text)
    }
    writes(write);
    let file = written(write);
    in_root_fiber(move || {
        let fiber = spawn(move || {
            let file = Blocking::new(Cursor::new(file));
            let mut reader = png::Decoder::new(BufReader::new(file)).read_info().unwrap();
            let mut read = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut read).unwrap();
            read
        });
        assert!(fiber.wait().unwrap() == pixels());
    });
}
