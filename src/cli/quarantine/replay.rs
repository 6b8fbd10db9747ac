//! Validates what is in quarantine once more, and commits what is valid by now.

use std::process::ExitCode;

use futures::TryStreamExt as _;

use super::gone;
use crate::assemble;
use crate::cli::print::{self, flaw};
use crate::config::Config;
use crate::error::Result;
use crate::report::Report;
use crate::sink::{Quarantined, Sink, Staged};
use crate::upload::{Ending, OnConflict, Receipt, UploadId, UploadSpec};

/// Replays the files one after the other; fails where one of them stays.
///
/// # Errors
/// Where the rules can't be read.
pub(super) async fn run(sink: &dyn Sink, config: &Config, files: &[&Quarantined]) -> Result<ExitCode> {
    let rules = assemble::rules(config)?;
    let mut code = ExitCode::SUCCESS;
    for file in files {
        let on_conflict = rules.find(&file.name).on_conflict.unwrap_or(config.framed.on_conflict);
        match replay(sink, file, on_conflict).await {
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
    Ok(code)
}

/// Commits a file under its name, and drops it from quarantine.
async fn replay(sink: &dyn Sink, file: &Quarantined, on_conflict: OnConflict) -> Result<Receipt> {
    let spec = UploadSpec {
        size: Some(file.size),
        digest: Some(file.digest),
        content_type: file.content_type.clone(),
        meta: file.meta.clone(),
        on_conflict,
        ..UploadSpec::new(UploadId::generate(), file.name.clone())
    };
    let mut staged = sink.stage(spec).await?;
    if let Err(error) = copy(sink, file, staged.as_mut()).await {
        if let Err(litter) = staged.abort().await {
            print::note(&format!("note: {litter}"));
        }
        return Err(error);
    }
    let receipt = staged.commit(Ending::default()).await?;
    sink.drop_quarantined(&file.id).await?;
    Ok(receipt)
}

async fn copy(sink: &dyn Sink, file: &Quarantined, staged: &mut dyn Staged) -> Result<()> {
    let Some(mut bytes) = sink.quarantined_bytes(&file.id).await? else { return Err(gone(file)) };
    while let Some(chunk) = bytes.try_next().await? {
        staged.write(chunk).await?;
    }
    Ok(())
}
