//! Attributes that do not fit on a file.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::forgetful::Forgetful;
use crate::sink::Sink;
use crate::sink::fs::disk::Disk;
use crate::sink::fs::record::Record;
use crate::sink::fs::{Fs, Terms};
use crate::sink::place::Content;
use crate::upload::{Digest, Ending, Receipt, UploadSpec};

const ERRORS: [Errno; 5] = [Errno::TOOBIG, Errno::NOSPC, Errno::RANGE, Errno::DQUOT, Errno::NOTSUP];
/// Room for all but the metadata.
const SHORT: usize = 500;

fn spec() -> UploadSpec {
    let meta = BTreeMap::from([("note".to_owned(), "x".repeat(1_000))]);
    UploadSpec { meta: meta.try_into().unwrap(), ..UploadSpec::new("u".parse().unwrap(), "in/a.bin".parse().unwrap()) }
}

async fn put(sink: &Fs<Forgetful>) -> Receipt {
    let mut staged = sink.stage(spec()).await.unwrap();
    staged.write("abc".into()).await.unwrap();
    staged.commit(Ending::default()).await.unwrap()
}

#[tokio::test]
async fn an_upload_is_committed_and_found_again_whatever_fits_on_its_file() {
    for errno in ERRORS {
        for (room, is_known) in [(SHORT, true), (0, false)] {
            let sink = Fs::on(Forgetful::with_attributes_of(room, errno), "/store".into(), Terms::of(0)).unwrap();
            let (receipt, again) = (put(&sink).await, put(&sink).await);
            let found = sink.committed(&receipt.id.clone().unwrap(), &receipt.key).await.unwrap();
            if is_known {
                assert_eq!(again, Receipt { duplicate: true, ..receipt.clone() }, "{errno}");
                assert_eq!(found, Some(receipt), "{errno}");
            } else {
                let told = |receipt: &Receipt| (receipt.key.clone(), receipt.name.clone(), receipt.size, receipt.digest);
                assert_eq!((told(&again), again.duplicate), (told(&receipt), true), "{errno}");
                assert_eq!(found, None, "{errno}: whose it is was not noted");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_logged() {
    for errno in ERRORS {
        for room in [SHORT, 0] {
            let disk = Forgetful::with_attributes_of(room, errno);
            let file = disk.create(&disk.open_root("/store".as_ref()).unwrap(), "a.bin").unwrap();
            let record = Record::new(&spec(), &Content { size: 3, digest: Digest::of(b"abc"), verdict: None });
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .json()
                .with_max_level(tracing::Level::DEBUG)
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || record.write(&disk, &file)).unwrap();
            let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines.len(), 1, "{text}");
            let fields = &lines[0]["fields"];
            let level = if errno == Errno::NOTSUP && room == 0 { "DEBUG" } else { "WARN" };
            assert_eq!((&lines[0]["level"], &fields["key"]), (&level.into(), &"in/a.bin".into()));
            assert_eq!(fields["error"], errno.to_string().as_str());
        }
    }
}

/// Where a subscriber writes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
