//! What every target asks of a validator: no panic, and the same outcome however the bytes are cut.

use tidegate::report::{Format, Rejection, Verdict};
use tidegate::validate::{Limits, for_format};

/// The first byte of `input` says how the rest, the file, is cut. Returns the file and its outcome.
pub fn judge(format: Format, input: &[u8]) -> (&[u8], Result<Verdict, Rejection>) {
    let (chunk_bytes, file) = input.split_first().map_or((1, input), |(&first, file)| (usize::from(first).max(1), file));
    for limits in [Limits { max_depth: 3, max_record_bytes: 32 }, Limits::default()] {
        assert_eq!(run(format, &limits, file.chunks(chunk_bytes)), run(format, &limits, [file]));
    }
    (file, run(format, &Limits::default(), [file]))
}

fn run<'a>(format: Format, limits: &Limits, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Verdict, Rejection> {
    let mut validator = for_format(format, limits).expect("a format that is parsed");
    for chunk in chunks {
        validator.feed(chunk)?;
    }
    validator.finish()
}
