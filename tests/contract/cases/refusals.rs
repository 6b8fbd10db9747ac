//! What is not what was announced is refused, and leaves nothing.

use tidegate::error::ErrorKind;
use tidegate::upload::{Digest, Ending, OnConflict};

use super::assert_untouched;
use crate::beds::Bed;
use crate::help::{noise, send, spec};

pub(crate) async fn a_wrong_size(bed: &dyn Bed) {
    for announced in [2, 4] {
        let mut spec = spec("a.bin", OnConflict::Reject);
        spec.size = Some(announced);
        let error = send(bed.sink(), spec, b"abc").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SizeMismatch, "{error}");
        assert_untouched(bed).await;
    }
}

pub(crate) async fn a_wrong_digest_announced(bed: &dyn Bed) {
    let mut spec = spec("a.bin", OnConflict::Reject);
    spec.digest = Some(Digest::of(b"abd"));
    let error = send(bed.sink(), spec, b"abc").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    assert_untouched(bed).await;
}

pub(crate) async fn a_wrong_digest_claimed(bed: &dyn Bed) {
    let mut staged = bed.sink().stage(spec("a.bin", OnConflict::Reject)).await.unwrap();
    staged.write((&b"abc"[..]).into()).await.unwrap();
    let error = staged.commit(Ending { claim: Some(Digest::of(b"abd")), verdict: None }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    assert_untouched(bed).await;
}

pub(crate) async fn a_large_file_with_a_wrong_digest(bed: &dyn Bed) {
    let mut staged = bed.sink().stage(spec("a.bin", OnConflict::Reject)).await.unwrap();
    staged.write(noise(bed.part_bytes() + 10, 1).into()).await.unwrap();
    let error = staged.commit(Ending { claim: Some(Digest::of(b"abd")), verdict: None }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    assert_untouched(bed).await;
}

pub(crate) async fn one_writer_an_upload(bed: &dyn Bed) {
    let spec = spec("a.bin", OnConflict::Reject);
    let mut staged = bed.sink().stage(spec.clone()).await.unwrap();
    let error = bed.sink().stage(spec.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    staged.write((&b"abc"[..]).into()).await.unwrap();
    staged.commit(Ending::default()).await.unwrap();
    bed.sink().stage(spec).await.unwrap().abort().await.unwrap();
}

pub(crate) async fn free_again_after_abort(bed: &dyn Bed) {
    let spec = spec("a.bin", OnConflict::Reject);
    bed.sink().stage(spec.clone()).await.unwrap().abort().await.unwrap();
    drop(bed.sink().stage(spec.clone()).await.unwrap());
    let receipt = send(bed.sink(), spec, b"abc").await.unwrap();
    assert!(!receipt.duplicate);
}
