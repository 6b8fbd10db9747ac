//! Each operation of the disk failing in turn.

use std::sync::Arc;

use rustix::io::Errno;

use super::crashes::Told;
use super::forgetful::{Fault, Forgetful, Survives};
use super::random::{Random, seed};
use super::script::{Play, Step, steps};
use crate::error::{Error, ErrorKind};

#[tokio::test]
async fn every_failure_of_the_disk_is_told_and_leaves_nothing_partial() {
    let steps = steps();
    let mut rehearsal = Play::of(&steps, Forgetful::new());
    rehearsal.go_on().await.unwrap();
    let (operations, seed) = (rehearsal.disk.operations(), seed());
    for at in 0..operations {
        for errno in [Errno::IO, Errno::NOSPC] {
            let told = Told(format!("{errno} at operation {at} of {operations}, TIDEGATE_SEED={seed}"));
            let mut random = Random::new(seed ^ (at << 32));
            fail(&steps, at, errno, &mut random).await;
            drop(told);
        }
    }
}

async fn fail(steps: &Arc<[Step]>, at: u64, errno: Errno, random: &mut Random) {
    let mut play = Play::of(steps, Forgetful::new());
    play.disk.plan(at, Fault::Fails(errno));
    let sink = match play.open() {
        Ok(sink) => sink,
        Err(error) => {
            assert_honest(&error);
            // As the manual says: after a failed flush the cache can't be believed, also not by who comes next.
            play.disk = play.disk.cut(Survives::Anything, Survives::Anything, random);
            play.open().unwrap()
        }
    };
    if let Err(error) = play.go_on_with(&sink).await {
        assert_honest(&error);
        play.assert_law();
        // The store goes on, unless it can't believe its disk any more.
        if let Err(error) = play.go_on_with(&sink).await {
            assert!(error.to_string().contains("read-only"), "{error}");
            drop(sink);
            play.disk = play.disk.cut(Survives::Anything, Survives::Anything, random);
            play.assert_law();
            play.go_on().await.unwrap();
        }
    }
    play.assert_done();
    play.disk = play.disk.cut(Survives::Nothing, Survives::Nothing, random);
    play.assert_done();
    // Whatever could not be removed then.
    play.go_on().await.unwrap();
    play.assert_clean();
}

fn assert_honest(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::Store | ErrorKind::NoSpace | ErrorKind::Unknown), "{error}");
}
