//! What is committed stands there whole; what is not, does not.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidegate::upload::{Digest, Ending, Meta, OnConflict, Receipt};

use super::{assert_clean, assert_untouched};
use crate::beds::Bed;
use crate::help::{key, noise, send, spec};

pub(crate) async fn commit_makes_visible(bed: &dyn Bed) {
    let spec = spec("a/b.bin", OnConflict::Reject);
    let receipt = send(bed.sink(), spec.clone(), b"abc").await.unwrap();
    assert_eq!(bed.read(&key("a/b.bin")).await.as_deref(), Some(&b"abc"[..]));
    assert_eq!(bed.names().await, ["a/b.bin"]);
    assert_eq!(receipt.id, Some(spec.id));
    assert_eq!((&receipt.name, &receipt.key), (&spec.key, &spec.key));
    assert_eq!((receipt.size, receipt.digest), (3, Digest::of(b"abc")));
    assert_eq!((receipt.durability, receipt.duplicate), (bed.durability(), false));
    assert_clean(bed).await;
}

pub(crate) async fn nothing_is_visible_before_commit(bed: &dyn Bed) {
    let mut staged = bed.sink().stage(spec("a.bin", OnConflict::Reject)).await.unwrap();
    let bytes = noise(bed.part_bytes() + 10, 1);
    staged.write(bytes.clone().into()).await.unwrap();
    assert_eq!(staged.offset(), bytes.len() as u64);
    assert_eq!(bed.names().await, Vec::<String>::new());
    assert_eq!(bed.sink().stat(&key("a.bin")).await.unwrap(), None);
    staged.commit(Ending { claim: Some(Digest::of(&bytes)), verdict: None }).await.unwrap();
    assert_eq!(bed.read(&key("a.bin")).await.unwrap(), bytes);
}

pub(crate) async fn abort_leaves_nothing(bed: &dyn Bed) {
    for len in [0, 10, 2 * bed.part_bytes() + 10] {
        let mut staged = bed.sink().stage(spec("a.bin", OnConflict::Reject)).await.unwrap();
        staged.write(noise(len, 1).into()).await.unwrap();
        staged.abort().await.unwrap();
        assert_untouched(bed).await;
    }
}

pub(crate) async fn drop_shows_nothing(bed: &dyn Bed) {
    for len in [10, bed.part_bytes() + 10] {
        let mut staged = bed.sink().stage(spec("a.bin", OnConflict::Reject)).await.unwrap();
        staged.write(noise(len, 1).into()).await.unwrap();
        drop(staged);
        assert_eq!(bed.names().await, Vec::<String>::new());
    }
}

pub(crate) async fn an_empty_file(bed: &dyn Bed) {
    let receipt = send(bed.sink(), spec("a.bin", OnConflict::Reject), b"").await.unwrap();
    assert_eq!((receipt.size, receipt.digest), (0, Digest::of(b"")));
    assert_eq!(bed.read(&key("a.bin")).await.as_deref(), Some(&b""[..]));
    assert_clean(bed).await;
}

pub(crate) async fn sizes_around_the_parts(bed: &dyn Bed) {
    let part = bed.part_bytes();
    for (len, seed) in [(part, 1), (part + 1, 2), (2 * part, 3)] {
        let name = format!("{len}.bin");
        let bytes = noise(len, seed);
        let receipt = send(bed.sink(), spec(&name, OnConflict::Reject), &bytes).await.unwrap();
        assert_eq!((receipt.size, receipt.digest), (len as u64, Digest::of(&bytes)), "{len} bytes");
        assert!(bed.read(&key(&name)).await.unwrap() == bytes, "{len} bytes came back as others");
    }
    assert_clean(bed).await;
}

pub(crate) async fn many_tiny_chunks(bed: &dyn Bed) {
    let bytes = noise(200_003, 1);
    let mut staged = bed.sink().stage(spec("a.bin", OnConflict::Reject)).await.unwrap();
    for chunk in bytes.chunks(3) {
        staged.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let receipt = staged.commit(Ending::default()).await.unwrap();
    assert_eq!(receipt.digest, Digest::of(&bytes));
    assert_eq!(bed.read(&key("a.bin")).await.unwrap(), bytes);
}

pub(crate) async fn names_are_kept_as_they_are(bed: &dyn Bed) {
    let mut names = ["a b+c.bin", "a%20b.bin", "a~2.bin", "é/ñ 漢字.bin", "q&'(),;=@[]!$.bin", "x/y/z/w.bin"];
    for name in names {
        let receipt = send(bed.sink(), spec(name, OnConflict::Reject), name.as_bytes()).await.unwrap();
        assert_eq!(receipt.key.as_str(), name);
        assert_eq!(bed.read(&key(name)).await.as_deref(), Some(name.as_bytes()), "{name}");
        assert_eq!(bed.sink().stat(&key(name)).await.unwrap().unwrap(), receipt);
    }
    names.sort_unstable();
    assert_eq!(bed.names().await, names);
}

pub(crate) async fn stat_of_nothing(bed: &dyn Bed) {
    assert_eq!(bed.sink().stat(&key("a.bin")).await.unwrap(), None);
    send(bed.sink(), spec("a/b.bin", OnConflict::Reject), b"abc").await.unwrap();
    assert_eq!(bed.sink().stat(&key("a/c.bin")).await.unwrap(), None);
}

pub(crate) async fn stat_answers_with_the_receipt(bed: &dyn Bed) {
    for len in [10, bed.part_bytes() + 10] {
        let first = send(bed.sink(), spec("a.bin", OnConflict::Version), &noise(len, 1)).await.unwrap();
        let second = send(bed.sink(), spec("a.bin", OnConflict::Version), &noise(len, 2)).await.unwrap();
        for receipt in [first, second] {
            let stat = bed.sink().stat(&receipt.key).await.unwrap().unwrap();
            assert_eq!(stat, Receipt { verdict: stat.verdict, duplicate: stat.duplicate, ..receipt });
        }
    }
}

pub(crate) async fn probe_finds_no_problem(bed: &dyn Bed) {
    for _ in 0..2 {
        let probe = bed.sink().probe().await.unwrap();
        assert_eq!(probe.problem(), None);
        assert!(!probe.findings.is_empty() && !probe.store.is_empty());
        assert_untouched(bed).await;
    }
}

pub(crate) async fn notes_arrive(bed: &dyn Bed) {
    let meta = BTreeMap::from([("site".to_owned(), "north  4".to_owned()), ("run".to_owned(), "7".to_owned())]);
    let mut small = spec("a.csv", OnConflict::Reject);
    small.meta = Meta::try_from(meta.clone()).unwrap();
    let mut large = spec("b.bin", OnConflict::Reject);
    large.meta = Meta::try_from(meta).unwrap();
    large.content_type = Some("application/x-tide".to_owned().try_into().unwrap());
    let bytes = noise(bed.part_bytes() + 10, 1);
    large.digest = Some(Digest::of(&bytes));
    send(bed.sink(), small.clone(), b"a,b\n1,2\n").await.unwrap();
    send(bed.sink(), large.clone(), &bytes).await.unwrap();
    for (spec, content_type, digest) in
        [(small, "text/csv", Digest::of(b"a,b\n1,2\n")), (large, "application/x-tide", Digest::of(&bytes))]
    {
        let Some(notes) = bed.notes(&spec.key).await else { return };
        assert_eq!(notes["content-type"], content_type);
        // HTTP does not promise to keep runs of spaces (RFC 9110 section 5.5).
        assert_eq!((notes["site"].replace("  ", " ").as_str(), notes["run"].as_str()), ("north 4", "7"));
        assert_eq!((&notes["tidegate-upload-id"], &notes["tidegate-digest"]), (&spec.id.to_string(), &digest.to_string()));
    }
}
