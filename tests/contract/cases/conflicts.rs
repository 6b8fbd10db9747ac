//! One name, several uploads, one after the other.

use tidegate::error::ErrorKind;
use tidegate::upload::{OnConflict, Receipt};

use super::assert_clean;
use crate::beds::Bed;
use crate::help::{key, noise, send, spec};

pub(crate) async fn reject_keeps_what_stands(bed: &dyn Bed) {
    let first = send(bed.sink(), spec("a.bin", OnConflict::Reject), b"abc").await.unwrap();
    for other in [&b"xyz"[..], b"longer", b""] {
        let error = send(bed.sink(), spec("a.bin", OnConflict::Reject), other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().ends_with("other content: send it under another name, or move \"a.bin\" away"), "{error}");
    }
    assert_eq!(bed.read(&key("a.bin")).await.as_deref(), Some(&b"abc"[..]));
    assert_eq!(bed.sink().stat(&key("a.bin")).await.unwrap(), Some(first));
    assert_eq!(bed.names().await, ["a.bin"]);
    assert_clean(bed).await;
}

pub(crate) async fn overwrite_replaces(bed: &dyn Bed) {
    send(bed.sink(), spec("a.bin", OnConflict::Reject), b"abc").await.unwrap();
    let second = send(bed.sink(), spec("a.bin", OnConflict::Overwrite), b"xyz").await.unwrap();
    assert!(!second.duplicate);
    assert_eq!(bed.read(&key("a.bin")).await.as_deref(), Some(&b"xyz"[..]));
    assert_eq!(bed.sink().stat(&key("a.bin")).await.unwrap(), Some(second));
    assert_eq!(bed.names().await, ["a.bin"]);
    assert_clean(bed).await;
}

pub(crate) async fn version_stands_beside(bed: &dyn Bed) {
    let mut receipts = Vec::new();
    for bytes in [&b"one"[..], b"two", b"three"] {
        receipts.push(send(bed.sink(), spec("a.bin", OnConflict::Version), bytes).await.unwrap());
    }
    let keys: Vec<_> = receipts.iter().map(|receipt| receipt.key.as_str()).collect();
    assert_eq!(keys, ["a.bin", "a~2.bin", "a~3.bin"]);
    assert!(receipts.iter().all(|receipt| receipt.name == key("a.bin")));
    for (bytes, receipt) in [&b"one"[..], b"two", b"three"].into_iter().zip(receipts) {
        let again = send(bed.sink(), spec("a.bin", OnConflict::Version), bytes).await.unwrap();
        assert_eq!(again, Receipt { duplicate: true, ..receipt });
    }
    assert_eq!(bed.names().await, ["a.bin", "a~2.bin", "a~3.bin"]);
    assert_eq!(bed.read(&key("a~2.bin")).await.as_deref(), Some(&b"two"[..]));
    assert_clean(bed).await;
}

pub(crate) async fn the_same_content_is_kept_once(bed: &dyn Bed) {
    for on_conflict in [OnConflict::Reject, OnConflict::Version, OnConflict::Overwrite] {
        let name = format!("{on_conflict:?}.bin");
        let first = send(bed.sink(), spec(&name, on_conflict), b"abc").await.unwrap();
        let again = send(bed.sink(), spec(&name, on_conflict), b"abc").await.unwrap();
        assert_eq!(again, Receipt { duplicate: true, ..first });
    }
    assert_eq!(bed.names().await.len(), 3);
    assert_clean(bed).await;
}

pub(crate) async fn the_same_upload_again(bed: &dyn Bed) {
    for (len, name) in [(10, "a.bin"), (bed.part_bytes() + 10, "b.bin")] {
        let bytes = noise(len, 1);
        let spec = spec(name, OnConflict::Version);
        let first = send(bed.sink(), spec.clone(), &bytes).await.unwrap();
        let again = send(bed.sink(), spec.clone(), &bytes).await.unwrap();
        assert_eq!(again, Receipt { duplicate: true, ..first.clone() });
        assert_eq!(bed.sink().stat(&spec.key).await.unwrap(), Some(first));
    }
    assert_eq!(bed.names().await, ["a.bin", "b.bin"]);
    assert_clean(bed).await;
}

pub(crate) async fn large_files_conflict_too(bed: &dyn Bed) {
    let [one, two, three] = [1, 2, 3].map(|seed| noise(bed.part_bytes() + 10, seed));
    let first = send(bed.sink(), spec("a.bin", OnConflict::Reject), &one).await.unwrap();
    let error = send(bed.sink(), spec("a.bin", OnConflict::Reject), &two).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_clean(bed).await;
    let again = send(bed.sink(), spec("a.bin", OnConflict::Reject), &one).await.unwrap();
    assert_eq!(again, Receipt { duplicate: true, ..first });
    let beside = send(bed.sink(), spec("a.bin", OnConflict::Version), &two).await.unwrap();
    assert_eq!((beside.key.as_str(), beside.name.as_str()), ("a~2.bin", "a.bin"));
    let again = send(bed.sink(), spec("a.bin", OnConflict::Version), &two).await.unwrap();
    assert_eq!(again, Receipt { duplicate: true, ..beside });
    let over = send(bed.sink(), spec("a.bin", OnConflict::Overwrite), &three).await.unwrap();
    assert!(!over.duplicate);
    assert!(bed.read(&key("a.bin")).await.unwrap() == three);
    assert_eq!(bed.sink().stat(&key("a.bin")).await.unwrap(), Some(over));
    assert_eq!(bed.names().await, ["a.bin", "a~2.bin"]);
    assert_clean(bed).await;
    send(bed.sink(), spec("a.bin", OnConflict::Overwrite), b"small").await.unwrap();
    assert_clean(bed).await;
}

pub(crate) async fn versions_of_odd_names(bed: &dyn Bed) {
    let contents = [&b"one"[..], b"two", b"six"];
    for name in ["a b/\u{e9} + %7E&=~.bin", "a~2.bin", "b.tar.gz", "c"] {
        let mut receipts = Vec::new();
        for (number, bytes) in (1..).zip(contents) {
            let receipt = send(bed.sink(), spec(name, OnConflict::Version), bytes).await.unwrap();
            let expected = if number == 1 { key(name) } else { key(name).version(number).unwrap() };
            assert_eq!((receipt.key.clone(), receipt.duplicate), (expected, false));
            receipts.push(receipt);
        }
        for (bytes, receipt) in contents.into_iter().zip(receipts) {
            let again = send(bed.sink(), spec(name, OnConflict::Version), bytes).await.unwrap();
            assert_eq!(again, Receipt { duplicate: true, ..receipt });
        }
    }
    // What looks like a version of this stands.
    let own = send(bed.sink(), spec("a.bin", OnConflict::Version), b"own").await.unwrap();
    assert_eq!((own.key.as_str(), own.duplicate), ("a.bin", false));
    assert_eq!(bed.names().await.len(), 13);
    assert_clean(bed).await;
}

/// Only some sinks bind a file to its version before it is whole; all must find it again.
pub(crate) async fn found_again_behind_a_gap(bed: &dyn Bed) {
    for (name, len) in [("a.bin", 10), ("b.bin", bed.part_bytes() + 10)] {
        let mut larger = Vec::new();
        for seed in 2..5 {
            let mut upload = bed.sink().stage(spec(name, OnConflict::Version)).await.unwrap();
            upload.write(noise(bed.part_bytes() + 10, seed).into()).await.unwrap();
            larger.push(upload);
        }
        let first = send(bed.sink(), spec(name, OnConflict::Version), &noise(len, 1)).await.unwrap();
        for upload in larger {
            upload.abort().await.unwrap();
        }
        let again = send(bed.sink(), spec(name, OnConflict::Version), &noise(len, 1)).await.unwrap();
        assert_eq!(again, Receipt { duplicate: true, ..first });
    }
    assert_eq!(bed.names().await.len(), 2);
    assert_clean(bed).await;
}
