//! The files that a probe leaves on a disk that fails.

use std::time::Duration;

use rustix::io::Errno;

use super::forgetful::{Fault, Forgetful};
use crate::sink::Sink;
use crate::sink::fs::{Fs, Terms};

#[tokio::test]
async fn a_probe_that_fails_leaves_nothing() {
    let open = |disk: &Forgetful| Fs::on(disk.clone(), "/store".into(), Terms::of(0)).unwrap();
    let rehearsal = Forgetful::new();
    let sink = open(&rehearsal);
    let before = rehearsal.operations();
    assert_eq!(sink.probe().await.unwrap().problem(), None);
    for at in 0..rehearsal.operations() - before {
        let disk = Forgetful::new();
        let sink = open(&disk);
        disk.plan(at, Fault::Fails(Errno::IO));
        let probe = sink.probe().await.unwrap();
        assert!(disk.has_failed(), "at {at}");
        let can_delete = probe.findings.iter().all(|finding| finding.what != "delete" || finding.outcome.is_ok());
        assert!(!can_delete || disk.files().is_empty(), "at {at}: {probe:?} left {:?}", disk.files().keys());
        // The next sweep deletes the rest.
        sink.sweep(Duration::from_hours(1)).await.unwrap();
        assert!(disk.files().is_empty(), "at {at}: {:?}", disk.files().keys());
    }
}
