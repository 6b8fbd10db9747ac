//! The server killed, or the power cut, before each operation of the disk in turn.

use super::forgetful::{Fault, Forgetful, Survives};
use super::random::{Random, seed, tries};
use super::script::{Play, Start, steps};
use crate::sink::Sink;
use crate::sink::fs::{Fs, Terms};
use crate::upload::{Note, UploadSpec, WhenCut};

#[tokio::test]
async fn every_receipt_survives_a_crash_at_every_operation() {
    crash_everywhere(Forgetful::new).await;
}

#[tokio::test]
async fn every_receipt_survives_a_crash_where_a_rename_may_clobber() {
    crash_everywhere(Forgetful::of_an_old_kind).await;
}

/// A commit that was killed may be visible and not durable: whoever is told of it, by asking or as a duplicate, relies on it.
#[tokio::test]
async fn what_a_killed_server_left_is_flushed_before_it_is_answered() {
    let steps = steps();
    let mut rehearsal = Play::of(&steps, Forgetful::new());
    rehearsal.go_on().await.unwrap();
    for at in 0..rehearsal.disk.operations() {
        for retry in [Start::WhereItWas, Start::Anew] {
            let told = Told(format!("kill at operation {at}, retried {retry:?}"));
            let mut play = Play::of(&steps, Forgetful::new());
            play.disk.plan(at, Fault::Death);
            play.go_on().await.unwrap_err();
            play.disk = play.disk.killed();
            play.retry = retry;
            play.finish_step().await.unwrap();
            play.disk = play.disk.cut(Survives::Nothing, Survives::Nothing, &mut Random::new(at));
            play.assert_law();
            drop(told);
        }
    }
}

/// Its file's number is used again, so that nothing but its being gone tells that the next upload of that id is another one.
#[tokio::test]
async fn the_checkpoint_of_what_was_given_up_never_comes_back() {
    let spec = UploadSpec { when_cut: WhenCut::Keep, ..UploadSpec::new("u".parse().unwrap(), "a.bin".parse().unwrap()) };
    for attempt in 0..64 {
        let disk = Forgetful::new();
        let sink = Fs::on(disk.clone(), "/store".into(), Terms::of(0)).unwrap();
        let mut first = sink.stage(spec.clone()).await.unwrap();
        first.write(vec![1; 300].into()).await.unwrap();
        assert_eq!(first.suspend(Note::default()).await.unwrap(), 300);
        sink.resume(spec.clone()).await.unwrap().unwrap().abort().await.unwrap();
        let mut second = sink.stage(spec.clone()).await.unwrap();
        second.write(vec![2; 400].into()).await.unwrap();
        let disk = disk.cut(Survives::Anything, Survives::Everything, &mut Random::new(attempt));
        let sink = Fs::on(disk, "/store".into(), Terms::of(0)).unwrap();
        assert!(sink.resume(spec.clone()).await.unwrap().is_none(), "try {attempt}");
    }
}

/// Runs the play once for each of its operations, kills it there, and once more on the way back.
async fn crash_everywhere(disk: impl Fn() -> Forgetful) {
    let steps = steps();
    let mut rehearsal = Play::of(&steps, disk());
    rehearsal.go_on().await.unwrap();
    rehearsal.assert_done();
    rehearsal.assert_clean();
    let (operations, seed) = (rehearsal.disk.operations(), seed());
    for at in 0..operations {
        for attempt in 0..tries() {
            let told = Told(format!("crash at operation {at} of {operations}, try {attempt}, TIDEGATE_SEED={seed}"));
            let random = Random::new(seed ^ (at << 32) ^ (attempt << 56));
            crash(Play::of(&steps, disk()), at, random).await;
            drop(told);
        }
    }
}

async fn crash(mut play: Play, at: u64, mut random: Random) {
    play.disk.plan(at, Fault::Death);
    play.go_on().await.unwrap_err();
    play.disk = match random.below(8) {
        0 => play.disk.killed(),
        1 => play.disk.cut(Survives::Nothing, Survives::Nothing, &mut random),
        2 => play.disk.cut(Survives::Everything, Survives::Nothing, &mut random),
        3 => play.disk.cut(Survives::Nothing, Survives::Everything, &mut random),
        _ => play.disk.cut(Survives::Anything, Survives::Anything, &mut random),
    };
    play.assert_law();
    play.retry = [Start::WhereItWas, Start::Anew][random.below(2)];
    // Once more, soon.
    play.disk.plan(random.below(80) as u64, Fault::Death);
    if play.go_on().await.is_err() {
        play.disk = play.disk.cut(Survives::Anything, Survives::Anything, &mut random);
        play.assert_law();
        play.go_on().await.unwrap();
    }
    play.assert_done();
    play.assert_clean();
    // What was promised until the end holds as well.
    let survives = [Survives::Nothing, Survives::Anything][random.below(2)];
    play.disk = play.disk.cut(survives, survives, &mut random);
    play.assert_done();
}

/// Says which try it was, where it fails.
pub(super) struct Told(pub(super) String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}
