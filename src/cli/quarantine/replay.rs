//! Validates what is in quarantine once more, and commits what is valid by now: an upload like any other, whose bytes come from
//! the store.

use std::process::ExitCode;
use std::sync::Arc;

use futures::TryStreamExt as _;
use tokio_util::task::TaskTracker;

use super::gone;
use crate::assemble;
use crate::cli::print::{self, flaw};
use crate::config::Config;
use crate::error::Result;
use crate::ingest::{Body, Bounds, Ingest, Piece};
use crate::metrics::Metrics;
use crate::report::Report;
use crate::sink::validated::Validated;
use crate::sink::{Held, Quarantined, Sink as _};
use crate::upload::{Receipt, UploadSpec, WhenCut};

/// Replays the files one after the other; fails where one of them stays.
///
/// # Errors
/// Where the ledger can't be written.
pub(super) async fn run(sink: &Arc<Validated>, config: &Config, files: &[&Quarantined]) -> Result<ExitCode> {
    let metrics = Arc::new(Metrics::new());
    let ledger = assemble::ledger(config, &metrics)?;
    let bounds = Bounds::of(&config.limits);
    let pump = Ingest::new(Arc::clone(sink), bounds, metrics, ledger.clone(), TaskTracker::new());
    let mut code = ExitCode::SUCCESS;
    for file in files {
        match replay(&pump, sink, config, file).await {
            Ok(receipt) => {
                print::line(&print::committed(&receipt));
                if let Some(report) = &receipt.report {
                    print::note(&print::let_pass(receipt.key.as_str(), report));
                }
            }
            Err(error) => {
                let what = flaw(error.kind().code(), &error.to_string(), error.find::<Report>());
                print::note(&format!("stays      {}  {}: {}", file.id, file.name, print::harmless(&what)));
                code = ExitCode::FAILURE;
            }
        }
    }
    ledger.close().await;
    Ok(code)
}

/// Commits a file under its name, and drops it from quarantine. It is the upload that brought it: a sender that asks for that
/// gets its receipt.
async fn replay(pump: &Ingest, sink: &Validated, config: &Config, file: &Quarantined) -> Result<Receipt> {
    let spec = UploadSpec {
        size: Some(file.size),
        digest: Some(file.digest),
        content_type: file.content_type.clone(),
        meta: file.meta.clone(),
        on_conflict: config.framed.on_conflict,
        // What is kept under its id belongs to its sender.
        when_cut: WhenCut::Keep,
        collector: file.collector.clone(),
        ..UploadSpec::new(file.upload.clone(), file.name.clone())
    };
    let Some(bytes) = sink.quarantined_bytes(&file.id).await? else { return Err(gone(file)) };
    let landed = pump.replaying(file.id.clone()).receive(spec, &mut FromQuarantine(bytes)).await?;
    let receipt = landed.commit(()).await?;
    sink.drop_quarantined(&file.id).await?;
    Ok(receipt)
}

/// The bytes of a file in quarantine.
struct FromQuarantine(Held);

impl Body for FromQuarantine {
    async fn next(&mut self) -> Result<Piece> {
        Ok(self.0.try_next().await?.map_or(Piece::End(None), Piece::Bytes))
    }
}
