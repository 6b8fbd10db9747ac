//! Workers that still write when their upload is dropped: nobody may go on with it before they have ended.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinHandle;

use crate::upload::UploadId;

/// The last worker of each upload that was dropped too early for it. It brings nothing back, so nothing of an upload outlives it.
#[derive(Debug, Default)]
pub(super) struct Dropped(Mutex<HashMap<UploadId, JoinHandle<()>>>);

impl Dropped {
    /// Remembers a worker until it has ended.
    pub(super) fn add(&self, id: &UploadId, worker: JoinHandle<()>) {
        let mut workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|_, worker| !worker.is_finished());
        workers.insert(id.clone(), worker);
    }

    /// Waits for the worker that an upload may have left.
    pub(super) async fn wait(&self, id: &UploadId) {
        let worker = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(worker) = worker {
            // How it ends matters to nobody any more.
            let _ = worker.await;
        }
    }
}
