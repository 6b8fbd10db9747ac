//! What every target asks of a validator: no panic, and the same outcome however the bytes are cut and whoever goes on there.

use tidegate::report::{Format, Report, Verdict};
use tidegate::validate::{Limits, for_format, resume};

/// The first byte of `input` says how the rest, the file, is cut. Returns the file and its outcome.
pub fn judge(format: Format, input: &[u8]) -> (&[u8], Result<Verdict, Box<Report>>) {
    let (chunk_bytes, file) = input.split_first().map_or((1, input), |(&first, file)| (usize::from(first).max(1), file));
    for limits in [Limits { max_depth: 3, max_record_bytes: 32, ..Limits::default() }, Limits::default()] {
        let whole = run(format, &limits, [file]);
        assert_eq!(run(format, &limits, file.chunks(chunk_bytes)), whole);
        assert_eq!(run_in_turns(format, &limits, file.chunks(chunk_bytes)), whole);
    }
    (file, run(format, &Limits::default(), [file]))
}

fn run<'a>(format: Format, limits: &Limits, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Verdict, Box<Report>> {
    let mut validator = for_format(format, limits).expect("a format that is parsed");
    for chunk in chunks {
        validator.feed(chunk)?;
    }
    validator.finish()
}

/// Each chunk is read by a validator that goes on with what the one before it has saved.
fn run_in_turns<'a>(
    format: Format,
    limits: &Limits,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Verdict, Box<Report>> {
    let mut validator = for_format(format, limits).expect("a format that is parsed");
    for chunk in chunks {
        validator.feed(chunk)?;
        let saved = validator.save().expect("a validator that has found no flaw").to_string();
        let saved = serde_json::from_str(&saved).expect("JSON");
        validator = resume(format, limits, &saved).expect("what was saved a moment ago");
    }
    validator.finish()
}
