//! An upload that was cut off goes on where it was, or begins anew; nothing else.

use std::time::Duration;

use tidegate::error::ErrorKind;
use tidegate::report::{Format, Verdict};
use tidegate::sink::{Sink, Staged, Swept};
use tidegate::upload::{Digest, Ending, Note, OnConflict, UploadSpec, WhenCut};

use super::{assert_clean, assert_untouched};
use crate::beds::Bed;
use crate::help::{noise, spec};

/// An upload whose sender may come back.
fn kept(name: &str) -> UploadSpec {
    UploadSpec { when_cut: WhenCut::Keep, ..spec(name, OnConflict::Reject) }
}

/// Writes as the pump does: in chunks, cut where the sink wants a checkpoint. Each note tells its offset.
async fn feed(staged: &mut dyn Staged, bytes: &[u8]) {
    for chunk in bytes.chunks(60_000) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let room = staged.until_checkpoint();
            let (piece, behind) = rest.split_at(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            staged.write(piece.to_vec().into()).await.unwrap();
            if piece.len() as u64 == room {
                staged.checkpoint(note(staged.offset())).await.unwrap();
            }
            rest = behind;
        }
    }
}

fn note(offset: u64) -> Note {
    Note(Some(offset.into()))
}

async fn resume(sink: &dyn Sink, spec: &UploadSpec) -> Option<Box<dyn Staged>> {
    sink.resume(spec.clone()).await.unwrap()
}

/// Stages, writes and suspends.
async fn suspended(sink: &dyn Sink, spec: &UploadSpec, bytes: &[u8]) {
    let mut staged = sink.stage(spec.clone()).await.unwrap();
    feed(staged.as_mut(), bytes).await;
    let offset = staged.suspend(note(bytes.len() as u64)).await.unwrap();
    assert_eq!(offset, bytes.len() as u64);
}

pub(crate) async fn goes_on_where_it_was_suspended(bed: &dyn Bed) {
    let part = bed.part_bytes();
    for (number, cuts) in
        [vec![0], vec![10], vec![part], vec![part + 10], vec![2 * part, 2 * part + 1, 3 * part - 1], vec![7, 2 * part + 9]]
            .into_iter()
            .enumerate()
    {
        let spec = kept(&format!("{number}.bin"));
        let bytes = noise(3 * part + 100, number as u64);
        suspended(bed.sink(), &spec, &bytes[..cuts[0]]).await;
        for pair in cuts.windows(2) {
            let mut staged = resume(bed.sink(), &spec).await.unwrap();
            assert_eq!(staged.offset(), pair[0] as u64);
            assert_eq!(staged.note(), &note(pair[0] as u64));
            feed(staged.as_mut(), &bytes[pair[0]..pair[1]]).await;
            staged.suspend(note(pair[1] as u64)).await.unwrap();
        }
        let mut staged = resume(bed.sink(), &spec).await.unwrap();
        let offset = usize::try_from(staged.offset()).unwrap();
        assert_eq!(offset, *cuts.last().unwrap());
        feed(staged.as_mut(), &bytes[offset..]).await;
        let receipt = staged.commit(Ending { claim: Some(Digest::of(&bytes)), verdict: None }).await.unwrap();
        assert_eq!((receipt.id.as_ref(), receipt.size), (Some(&spec.id), bytes.len() as u64));
        assert_eq!(bed.read(&spec.key).await.unwrap(), bytes);
        assert_eq!(bed.sink().committed(&spec.id, &spec.key).await.unwrap(), Some(receipt));
        assert!(resume(bed.sink(), &spec).await.is_none(), "what is committed is not on its way any more");
    }
    assert_clean(bed).await;
}

/// As after a crash: nobody suspended it.
pub(crate) async fn goes_on_from_its_last_checkpoint(bed: &dyn Bed) {
    let bytes = noise(3 * bed.part_bytes() + 100, 1);
    let spec = kept("a.bin");
    let mut staged = bed.sink().stage(spec.clone()).await.unwrap();
    let checkpoints = staged.until_checkpoint();
    feed(staged.as_mut(), &bytes[..2 * bed.part_bytes() + 70]).await;
    drop(staged);
    let mut staged = match resume(bed.sink(), &spec).await {
        Some(staged) => {
            assert_eq!(staged.offset() % checkpoints, 0);
            assert_eq!(staged.note(), &note(staged.offset()));
            staged
        }
        None => bed.sink().stage(spec.clone()).await.unwrap(),
    };
    let offset = usize::try_from(staged.offset()).unwrap();
    feed(staged.as_mut(), &bytes[offset..]).await;
    let receipt = staged.commit(Ending::default()).await.unwrap();
    assert_eq!(receipt.digest, Digest::of(&bytes));
    assert_eq!(bed.read(&spec.key).await.unwrap(), bytes);
    // The stand-in takes a part that was on its way in the crash, also when its upload has been given up meanwhile.
    if bed.is_atomic() {
        assert_clean(bed).await;
    }
}

pub(crate) async fn goes_on_at_another_node(bed: &dyn Bed) {
    for (name, cut) in [("a.bin", 100), ("b.bin", bed.part_bytes() + 100)] {
        let bytes = noise(2 * bed.part_bytes() + 100, 1);
        let spec = kept(name);
        suspended(bed.sink(), &spec, &bytes[..cut]).await;
        let other = bed.another().await;
        let mut staged = resume(other.as_ref(), &spec).await.unwrap();
        assert_eq!(staged.offset(), cut as u64);
        feed(staged.as_mut(), &bytes[cut..]).await;
        let receipt = staged.commit(Ending::default()).await.unwrap();
        assert_eq!(bed.read(&spec.key).await.unwrap(), bytes);
        assert_eq!(bed.sink().committed(&spec.id, &spec.key).await.unwrap(), Some(receipt));
    }
    assert_clean(bed).await;
}

pub(crate) async fn nothing_is_resumed_of_another_upload(bed: &dyn Bed) {
    let spec = UploadSpec { size: Some(1000), digest: Some(Digest::of(b"x")), ..kept("a.bin") };
    assert!(resume(bed.sink(), &spec).await.is_none(), "nothing was ever sent");
    suspended(bed.sink(), &spec, &noise(200, 1)).await;
    let other = UploadSpec { id: "other".parse().unwrap(), ..spec.clone() };
    assert!(resume(bed.sink(), &other).await.is_none());
    for other in others(&spec) {
        assert_eq!(bed.sink().resume(other.clone()).await.unwrap_err().kind(), ErrorKind::Conflict, "{other:?}");
        assert_eq!(bed.sink().stage(other.clone()).await.unwrap_err().kind(), ErrorKind::Conflict, "{other:?}");
        let node = bed.another().await;
        assert_eq!(node.stage(other.clone()).await.unwrap_err().kind(), ErrorKind::Conflict, "{other:?}");
    }
    let staged = resume(bed.sink(), &UploadSpec { size: None, digest: None, ..spec }).await.unwrap();
    assert_eq!(staged.offset(), 200, "what was kept is there still");
    staged.abort().await.unwrap();
    assert_untouched(bed).await;
}

/// Other uploads that come with the same id.
fn others(spec: &UploadSpec) -> [UploadSpec; 3] {
    [
        UploadSpec { key: "b.bin".parse().unwrap(), ..spec.clone() },
        UploadSpec { size: Some(1001), ..spec.clone() },
        UploadSpec { digest: Some(Digest::of(b"y")), ..spec.clone() },
    ]
}

/// More than this sender says it has is kept: it has another file.
pub(crate) async fn nothing_is_resumed_that_is_longer_than_announced(bed: &dyn Bed) {
    for kept_bytes in [200, bed.part_bytes() + 200] {
        let spec = kept(&format!("{kept_bytes}.bin"));
        suspended(bed.sink(), &spec, &noise(kept_bytes, 1)).await;
        let shorter = UploadSpec { size: Some(199), ..spec.clone() };
        assert_eq!(bed.sink().resume(shorter).await.unwrap_err().kind(), ErrorKind::Conflict);
        let staged = resume(bed.sink(), &spec).await.unwrap();
        assert_eq!(staged.offset(), kept_bytes as u64);
        staged.abort().await.unwrap();
    }
    assert_untouched(bed).await;
}

/// Whoever goes on with an upload, or begins it anew, can't complete it with other bytes than were announced.
pub(crate) async fn what_was_announced_holds_to_the_end(bed: &dyn Bed) {
    let bytes = noise(1000, 1);
    let spec = UploadSpec { size: Some(1000), digest: Some(Digest::of(&bytes)), ..kept("a.bin") };
    let vague = UploadSpec { size: None, digest: None, ..spec.clone() };
    for (length, expected) in [(900, ErrorKind::SizeMismatch), (1000, ErrorKind::DigestMismatch)] {
        let other = noise(length, 2);
        suspended(bed.sink(), &spec, &bytes[..200]).await;
        let mut staged = resume(bed.sink(), &vague).await.unwrap();
        feed(staged.as_mut(), &other[200..]).await;
        assert_eq!(staged.commit(Ending::default()).await.unwrap_err().kind(), expected);
        suspended(bed.sink(), &spec, &bytes[..200]).await;
        let mut staged = bed.sink().stage(vague.clone()).await.unwrap();
        feed(staged.as_mut(), &other).await;
        assert_eq!(staged.commit(Ending::default()).await.unwrap_err().kind(), expected);
    }
    assert_untouched(bed).await;
}

pub(crate) async fn staged_anew_begins_at_zero(bed: &dyn Bed) {
    let spec = kept("a.bin");
    for len in [100, 2 * bed.part_bytes() + 100] {
        suspended(bed.sink(), &spec, &noise(len, 1)).await;
    }
    let mut staged = bed.sink().stage(spec.clone()).await.unwrap();
    assert_eq!(staged.offset(), 0);
    staged.write(b"abc".as_slice().into()).await.unwrap();
    staged.commit(Ending::default()).await.unwrap();
    assert_eq!(bed.read(&spec.key).await.unwrap(), b"abc");
    assert!(resume(bed.sink(), &spec).await.is_none());
    assert_clean(bed).await;
}

pub(crate) async fn kept_is_invisible_until_committed(bed: &dyn Bed) {
    let spec = kept("a.bin");
    suspended(bed.sink(), &spec, &noise(bed.part_bytes() + 100, 1)).await;
    assert_eq!(bed.names().await, Vec::<String>::new());
    assert_eq!(bed.sink().stat(&spec.key).await.unwrap(), None);
    assert_eq!(bed.sink().committed(&spec.id, &spec.key).await.unwrap(), None);
    resume(bed.sink(), &spec).await.unwrap().abort().await.unwrap();
    assert!(resume(bed.sink(), &spec).await.is_none(), "given up is given up");
    assert_untouched(bed).await;
}

pub(crate) async fn swept_when_nobody_comes_back(bed: &dyn Bed) {
    let specs = [kept("a.bin"), kept("b.bin")];
    for (spec, len) in specs.iter().zip([100, bed.part_bytes() + 100]) {
        suspended(bed.sink(), spec, &noise(len, 1)).await;
    }
    assert_eq!(bed.sink().sweep(Duration::from_hours(1)).await.unwrap(), Swept { removed: 0, kept: 2 });
    for spec in &specs {
        resume(bed.sink(), spec).await.unwrap().suspend(Note::default()).await.unwrap();
    }
    assert_eq!(bed.sink().sweep(Duration::ZERO).await.unwrap(), Swept { removed: 2, kept: 0 });
    for spec in &specs {
        assert!(resume(bed.sink(), spec).await.is_none());
    }
    assert_untouched(bed).await;
}

pub(crate) async fn a_sweep_leaves_alone_what_is_in_use(bed: &dyn Bed) {
    let bytes = noise(2 * bed.part_bytes() + 100, 1);
    let spec = kept("a.bin");
    let mut staged = bed.sink().stage(spec.clone()).await.unwrap();
    feed(staged.as_mut(), &bytes).await;
    bed.sink().sweep(Duration::ZERO).await.unwrap();
    staged.commit(Ending::default()).await.unwrap();
    bed.sink().sweep(Duration::ZERO).await.unwrap();
    assert_eq!(bed.read(&spec.key).await.unwrap(), bytes);
    assert!(bed.sink().stat(&spec.key).await.unwrap().is_some());
}

pub(crate) async fn nothing_is_kept_of_who_can_not_come_back(bed: &dyn Bed) {
    for len in [0, 100, 2 * bed.part_bytes() + 100] {
        let spec = spec("a.bin", OnConflict::Reject);
        let mut staged = bed.sink().stage(spec.clone()).await.unwrap();
        feed(staged.as_mut(), &noise(len, 1)).await;
        assert_eq!(staged.suspend(Note::default()).await.unwrap(), 0);
        assert!(resume(bed.sink(), &spec).await.is_none());
        assert_untouched(bed).await;
    }
}

/// The sender goes on with something else than what it had begun with.
pub(crate) async fn a_broken_beginning_is_not_committed(bed: &dyn Bed) {
    let bytes = noise(2 * bed.part_bytes() + 100, 1);
    let spec = kept("a.bin");
    let cut = bed.part_bytes() + 7;
    suspended(bed.sink(), &spec, &noise(cut, 2)).await;
    let mut staged = resume(bed.sink(), &spec).await.unwrap();
    feed(staged.as_mut(), &bytes[cut..]).await;
    let ending = Ending { claim: Some(Digest::of(&bytes)), verdict: None };
    assert_eq!(staged.commit(ending).await.unwrap_err().kind(), ErrorKind::DigestMismatch);
    assert!(resume(bed.sink(), &spec).await.is_none(), "the next try begins anew");
    assert_untouched(bed).await;
}

pub(crate) async fn one_at_a_time_goes_on(bed: &dyn Bed) {
    let spec = kept("a.bin");
    suspended(bed.sink(), &spec, &noise(100, 1)).await;
    let held = resume(bed.sink(), &spec).await.unwrap();
    assert_eq!(bed.sink().resume(spec.clone()).await.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(bed.sink().stage(spec.clone()).await.unwrap_err().kind(), ErrorKind::Busy);
    held.suspend(Note::default()).await.unwrap();
    resume(bed.sink(), &spec).await.unwrap().abort().await.unwrap();
    assert_untouched(bed).await;
}

pub(crate) async fn the_verdict_is_kept(bed: &dyn Bed) {
    let verdict = Some(Verdict { format: Format::Csv, records: 17, errors: 0 });
    for (name, len) in [("a.bin", 100), ("b.bin", bed.part_bytes() + 100)] {
        let spec = kept(name);
        let mut staged = bed.sink().stage(spec.clone()).await.unwrap();
        feed(staged.as_mut(), &noise(len, 1)).await;
        let receipt = staged.commit(Ending { claim: None, verdict }).await.unwrap();
        assert_eq!(receipt.verdict, verdict);
        assert_eq!(bed.sink().committed(&spec.id, &spec.key).await.unwrap(), Some(receipt));
    }
}
