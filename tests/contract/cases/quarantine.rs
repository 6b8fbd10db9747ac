//! What is not valid is kept where nobody sees it, or committed with a warning, as its rule says; what is cut off is neither.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use tidegate::error::{Error, ErrorKind, Result};
use tidegate::report::{Format, Report};
use tidegate::sink::{Quarantined, Sink};
use tidegate::upload::{Digest, Ending, Note, OnConflict, OnInvalid, Receipt, UploadSpec, WhenCut};
use tidegate::validate::{Limits, for_format};

use super::{assert_clean, assert_untouched};
use crate::beds::Bed;
use crate::help::{judging, key, noise, send, spec};

/// A name that the rules of every bed let into quarantine.
const NAME: &str = "kept/a.bin";

fn keeping(name: &str) -> UploadSpec {
    UploadSpec { on_invalid: OnInvalid::Quarantine, ..spec(name, OnConflict::Reject) }
}

/// What a validator says of a file.
fn report(text: &str) -> Report {
    let mut validator = for_format(Format::Csv, &Limits::default()).unwrap();
    let fed = validator.feed(text.as_bytes());
    *fed.and_then(|()| validator.finish().map(drop)).unwrap_err()
}

async fn keep(sink: &dyn Sink, spec: UploadSpec, bytes: &[u8], report: Report) -> Result<Quarantined> {
    let mut staged = sink.stage(spec).await?;
    staged.write(Bytes::copy_from_slice(bytes)).await?;
    staged.quarantine(report, Ending::default()).await
}

async fn bytes_of(sink: &dyn Sink, file: &Quarantined) -> Option<Vec<u8>> {
    let bytes = sink.quarantined_bytes(&file.id).await.unwrap()?;
    Some(bytes.try_collect::<Vec<Bytes>>().await.unwrap().concat())
}

async fn drop_all(bed: &dyn Bed) {
    for file in bed.sink().quarantined().await.unwrap() {
        assert!(bed.sink().drop_quarantined(&file.id).await.unwrap());
        assert!(!bed.sink().drop_quarantined(&file.id).await.unwrap(), "it is gone");
        assert_eq!(bytes_of(bed.sink(), &file).await, None);
    }
    assert_eq!(bed.sink().quarantined().await.unwrap(), []);
}

pub(crate) async fn it_is_kept_where_nobody_sees_it(bed: &dyn Bed) {
    for (len, seed) in [(0, 1), (10, 2), (bed.part_bytes(), 3), (2 * bed.part_bytes() + 10, 4)] {
        let (spec, bytes) = (keeping(NAME), noise(len, seed));
        let kept = keep(bed.sink(), spec.clone(), &bytes, report("x,y\n1\n")).await.unwrap();
        assert_eq!((&kept.name, &kept.upload, kept.size), (&spec.key, &spec.id, len as u64));
        assert_eq!(kept.digest, Digest::of(&bytes));
        assert_eq!(kept.report, Report { quarantined: Some(kept.id.to_string()), ..report("x,y\n1\n") });
        assert_eq!(bed.names().await, Vec::<String>::new());
        assert_eq!(bed.sink().stat(&spec.key).await.unwrap(), None);
        assert_eq!(bed.sink().committed(&spec.id, &spec.key).await.unwrap(), None);
        let elsewhere = bed.another().await;
        assert_eq!(elsewhere.quarantined().await.unwrap(), std::slice::from_ref(&kept), "{len} bytes");
        assert!(bytes_of(elsewhere.as_ref(), &kept).await.unwrap() == bytes, "{len} bytes came back as others");
        drop_all(bed).await;
        assert_untouched(bed).await;
    }
}

pub(crate) async fn the_same_is_kept_once(bed: &dyn Bed) {
    for len in [10, bed.part_bytes() + 10] {
        let bytes = noise(len, 1);
        let first = keep(bed.sink(), keeping(NAME), &bytes, report("x,y\n1\n")).await.unwrap();
        let elsewhere = bed.another().await;
        let again = keep(elsewhere.as_ref(), keeping(NAME), &bytes, report("x,y\n1,2,3\n")).await.unwrap();
        assert_eq!(again, first, "{len} bytes");
        let beside = keep(bed.sink(), keeping("kept/b.bin"), &bytes, report("x,y\n1\n")).await.unwrap();
        let other = keep(bed.sink(), keeping(NAME), &noise(len, 2), report("x,y\n1\n")).await.unwrap();
        let mut ids: Vec<_> = bed.sink().quarantined().await.unwrap().into_iter().map(|file| file.id).collect();
        let mut expected = vec![first.id, beside.id, other.id];
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected, "{len} bytes");
        drop_all(bed).await;
        assert_untouched(bed).await;
    }
}

pub(crate) async fn what_was_not_announced_is_not_kept(bed: &dyn Bed) {
    for len in [10, bed.part_bytes() + 10] {
        let bytes = noise(len, 1);
        let sized = UploadSpec { size: Some(len as u64 + 1), ..keeping(NAME) };
        let error = keep(bed.sink(), sized, &bytes, report("x,y\n1\n")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SizeMismatch, "{error}");
        let hashed = UploadSpec { digest: Some(Digest::of(b"else")), ..keeping(NAME) };
        let error = keep(bed.sink(), hashed, &bytes, report("x,y\n1\n")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
        assert_eq!(bed.sink().quarantined().await.unwrap(), []);
        assert_untouched(bed).await;
    }
}

/// Large files that might have to be kept lie elsewhere until they are known to be valid.
pub(crate) async fn what_is_valid_goes_where_it_belongs(bed: &dyn Bed) {
    for len in [10, bed.part_bytes() + 10] {
        let name = format!("kept/{len}.bin");
        let spec = |on_conflict| UploadSpec { on_conflict, ..keeping(&name) };
        let (one, two, three) = (noise(len, 1), noise(len, 2), noise(len, 3));
        let (first, upload) = (spec(OnConflict::Reject), spec(OnConflict::Version));
        let receipt = send(bed.sink(), first.clone(), &one).await.unwrap();
        assert_eq!((&receipt.id, &receipt.key, receipt.digest), (&Some(first.id), &key(&name), Digest::of(&one)));
        let again = send(bed.sink(), spec(OnConflict::Reject), &one).await.unwrap();
        assert_eq!(again, Receipt { duplicate: true, ..receipt });
        let error = send(bed.sink(), spec(OnConflict::Reject), &two).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let beside = send(bed.sink(), upload, &two).await.unwrap();
        assert_eq!(beside.key, key(&name).version(2).unwrap());
        let again = send(bed.sink(), spec(OnConflict::Version), &two).await.unwrap();
        assert_eq!((again.key, again.duplicate), (beside.key, true));
        let over = send(bed.sink(), spec(OnConflict::Overwrite), &three).await.unwrap();
        assert_eq!(over.key, key(&name));
        assert!(bed.read(&over.key).await.unwrap() == three);
        assert_clean(bed).await;
    }
}

pub(crate) async fn given_up_it_leaves_nothing(bed: &dyn Bed) {
    for len in [10, bed.part_bytes() + 10] {
        let mut staged = bed.sink().stage(keeping(NAME)).await.unwrap();
        staged.write(noise(len, 1).into()).await.unwrap();
        staged.abort().await.unwrap();
        assert_untouched(bed).await;
    }
}

pub(crate) async fn a_sweep_leaves_it_alone(bed: &dyn Bed) {
    for len in [10, bed.part_bytes() + 10] {
        let bytes = noise(len, 1);
        let kept = keep(bed.sink(), keeping(NAME), &bytes, report("x,y\n1\n")).await.unwrap();
        let mut staged = bed.sink().stage(keeping("kept/b.bin")).await.unwrap();
        staged.write(bytes.clone().into()).await.unwrap();
        bed.sink().sweep(Duration::ZERO).await.unwrap();
        let other = staged.quarantine(report("x,y\n1\n"), Ending::default()).await.unwrap();
        bed.sink().sweep(Duration::ZERO).await.unwrap();
        for file in [kept, other] {
            assert!(bytes_of(bed.sink(), &file).await.unwrap() == bytes);
        }
        drop_all(bed).await;
        assert_untouched(bed).await;
    }
}

/// A table of at least so many bytes whose `bad`th row, from 0, has a cell too few.
fn table(len: usize, bad: Option<usize>) -> Vec<u8> {
    let row = "first cell,second cell\n";
    let rows = len / row.len() + 3;
    let bad = bad.map(|bad| bad.min(rows - 1));
    (0..rows).map(|number| if Some(number) == bad { "only cell\n" } else { row }).collect::<String>().into_bytes()
}

/// Sends in chunks, as the pump does: what fails is suspended.
async fn offer(sink: &dyn Sink, spec: UploadSpec, bytes: &[u8]) -> Result<Receipt> {
    let mut staged = sink.stage(spec).await?;
    for chunk in bytes.chunks(64 * 1024) {
        if let Err(error) = staged.write(Bytes::copy_from_slice(chunk)).await {
            staged.abort().await?;
            return Err(error);
        }
    }
    staged.commit(Ending::default()).await
}

fn kept_as(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let id = error.find::<Report>().unwrap().quarantined.clone().unwrap();
    assert!(error.to_string().contains(&format!("kept in quarantine as {id}: missing-cell")), "{error}");
    id
}

pub(crate) async fn an_invalid_file_is_refused_and_kept(bed: &dyn Bed) {
    let sink = judging(bed.shared());
    for len in [10, bed.part_bytes() + 10] {
        for bad in [1, usize::MAX] {
            let bytes = table(len, Some(bad));
            let id = kept_as(&offer(&sink, spec(NAME, OnConflict::Reject), &bytes).await.unwrap_err());
            let again = kept_as(&offer(&sink, spec(NAME, OnConflict::Reject), &bytes).await.unwrap_err());
            assert_eq!(again, id, "the same file is kept once");
            let files = sink.quarantined().await.unwrap();
            assert_eq!(files.iter().map(|file| file.id.as_str()).collect::<Vec<_>>(), [id]);
            assert!(bytes_of(&sink, &files[0]).await.unwrap() == bytes, "all of it is kept, what follows the flaw as well");
            assert_eq!(bed.names().await, Vec::<String>::new());
            drop_all(bed).await;
            assert_untouched(bed).await;
        }
    }
    for len in [10, bed.part_bytes() + 10] {
        let receipt = offer(&sink, spec(NAME, OnConflict::Overwrite), &table(len, None)).await.unwrap();
        assert_eq!((receipt.verdict.unwrap().errors, receipt.report), (0, None));
        assert!(bed.read(&receipt.key).await.unwrap() == table(len, None));
        assert_clean(bed).await;
    }
}

pub(crate) async fn an_invalid_file_is_let_pass(bed: &dyn Bed) {
    let sink = judging(bed.shared());
    for len in [10, bed.part_bytes() + 10] {
        for bad in [1, usize::MAX] {
            let bytes = table(len, Some(bad));
            let name = format!("warned/{len}-{bad}.bin");
            let receipt = offer(&sink, spec(&name, OnConflict::Reject), &bytes).await.unwrap();
            let report = receipt.report.clone().unwrap();
            assert_eq!((report.errors_total, report.code(), &report.quarantined), (1, "missing-cell", &None));
            assert_eq!(receipt.verdict.unwrap().errors, 1);
            assert!(bed.read(&receipt.key).await.unwrap() == bytes);
            let stat = bed.sink().stat(&receipt.key).await.unwrap().unwrap();
            assert_eq!(stat, Receipt { report: None, ..receipt.clone() }, "the verdict is kept, the report is not");
            let again = offer(&sink, spec(&name, OnConflict::Reject), &bytes).await.unwrap();
            assert!(again.duplicate);
        }
    }
    assert_eq!(sink.quarantined().await.unwrap(), []);
    assert_clean(bed).await;
}

/// Law 4, whatever the rule lets pass.
pub(crate) async fn an_invalid_file_that_is_cut_off_is_neither(bed: &dyn Bed) {
    let sink = judging(bed.shared());
    for name in [NAME, "warned/a.bin"] {
        for len in [10, bed.part_bytes() + 10] {
            let bytes = table(len, Some(1));
            let sized = UploadSpec { size: Some(bytes.len() as u64 + 1), ..spec(name, OnConflict::Reject) };
            let error = offer(&sink, sized, &bytes).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SizeMismatch, "{error}");
            let hashed = UploadSpec { digest: Some(Digest::of(b"else")), ..spec(name, OnConflict::Reject) };
            let error = offer(&sink, hashed, &bytes).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
            let cut = UploadSpec { when_cut: WhenCut::Keep, ..spec(name, OnConflict::Reject) };
            let mut staged = sink.stage(cut.clone()).await.unwrap();
            staged.write(bytes.into()).await.unwrap();
            assert_eq!(staged.suspend(Note::default()).await.unwrap(), 0);
            assert!(sink.resume(cut).await.unwrap().is_none());
            assert_eq!(sink.quarantined().await.unwrap(), []);
            assert_untouched(bed).await;
        }
    }
}
