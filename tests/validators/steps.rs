//! Files that are read step by step: the length of a step changes nothing.

use std::io::Write as _;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use tidegate::report::{Compression, Format, Report, Verdict};
use tidegate::validate::{Limits, Standard};

/// The verdict on a file of which each step reads so much text.
fn judge(standard: &Standard, chunks: &[&[u8]], text_bytes: usize) -> Result<Verdict, Box<Report>> {
    let mut validator = standard.validator().unwrap();
    for mut chunk in chunks.iter().copied() {
        loop {
            let step = validator.step(chunk, text_bytes)?;
            chunk = &chunk[step.read..];
            if chunk.is_empty() && !step.more {
                break;
            }
        }
    }
    validator.finish()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Level::best());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

/// A frame that holds no text (RFC 8878 section 3.1.2).
const SKIPPABLE: &[u8] = b"\x50\x2a\x4d\x18\x03\0\0\0abc";

/// Packed files, and whether they are whole.
fn files() -> Vec<(&'static str, Compression, Vec<u8>, bool)> {
    let text: Vec<u8> = (0..300).flat_map(|row| format!("{row},\"a\n{row}\"\n").into_bytes()).collect();
    let (head, tail) = text.split_at(1000);
    let members = [gzip(head), gzip(b""), gzip(tail)].concat();
    let frames = [SKIPPABLE, &zstd(head), SKIPPABLE, &zstd(b""), &zstd(tail)].concat();
    let cut = |packed: &[u8]| packed[..packed.len() - 1].to_vec();
    let with_garbage = |packed: &[u8]| [packed, b"garbage that is no header at all"].concat();
    vec![
        ("members", Compression::Gzip, members.clone(), true),
        ("members, the last one cut", Compression::Gzip, cut(&members), false),
        ("members, then garbage", Compression::Gzip, with_garbage(&members), false),
        ("nothing", Compression::Gzip, Vec::new(), false),
        ("frames", Compression::Zstd, frames.clone(), true),
        ("frames, the last one cut", Compression::Zstd, cut(&frames), false),
        ("frames, then garbage", Compression::Zstd, with_garbage(&frames), false),
        ("frames, then half a header", Compression::Zstd, [frames.as_slice(), b"\x28\xb5\x2f"].concat(), false),
        ("nothing", Compression::Zstd, Vec::new(), false),
    ]
}

#[test]
fn packed_files_are_judged_alike_however_long_the_steps_are() {
    for (what, compression, packed, is_whole) in files() {
        let standard = Standard { compression, ..Standard::of(Format::Csv, Limits::default()) };
        let whole = judge(&standard, &[&packed], 32 << 10);
        assert_eq!(whole.is_ok(), is_whole, "{compression:?} {what}: {whole:?}");
        for text_bytes in [1, 2, 7, 100, 4096] {
            for chunk_bytes in [1, 3, 50, usize::MAX] {
                let chunks: Vec<_> = packed.chunks(chunk_bytes.min(packed.len().max(1))).collect();
                let judged = judge(&standard, &chunks, text_bytes);
                let code = |judged: &Result<Verdict, Box<Report>>| {
                    judged.as_ref().map_err(|report| report.code().to_owned()).copied()
                };
                assert_eq!(
                    code(&judged),
                    code(&whole),
                    "{compression:?} {what}, {text_bytes} of text, {chunk_bytes} a chunk"
                );
            }
        }
    }
}
