//! What an earlier try has come to: its receipt against the file as it is now.

use tokio::io::AsyncReadExt as _;

use super::outcome::{checked, unreadable};
use super::{Body, CHUNK_BYTES, Outcome, Trail, Upload};
use crate::upload::{Receipt, Tally};

/// Checks the receipt of an earlier try against the file, from the last mark on.
pub(super) async fn compare(upload: &Upload, receipt: Receipt, source: &mut Body<'_>, trail: &Trail) -> Outcome {
    let mut tally = trail.before(receipt.size);
    if let Err(cause) = hash(source, &mut tally).await {
        return unreadable(upload, cause);
    }
    match source.change().await {
        Ok(None) => checked(upload, receipt, &tally),
        Ok(Some(change)) => Outcome::changed(upload, change),
        Err(cause) => unreadable(upload, cause),
    }
}

async fn hash(source: &mut Body<'_>, tally: &mut Tally) -> std::io::Result<()> {
    source.go_to(tally.size()).await?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match source.read(&mut buffer).await? {
            0 => return Ok(()),
            read => tally.add(&buffer[..read]),
        }
    }
}
