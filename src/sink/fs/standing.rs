//! The receipt of the existing file under a key.

use std::sync::Arc;

use rustix::io::Errno;

use super::digests::Look;
use super::disk::Disk;
use super::readings::{Glance, Whole};
use super::record::{self, Record};
use super::tree::Opened;
use super::{Shared, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Key, Receipt, UploadId};

/// The outcome of a first look at a key.
enum Found<H> {
    Nothing,
    Standing(Receipt),
    /// The bytes have to be read.
    Unread(Opened<H>, Look),
}

impl<D: Disk> Shared<D> {
    /// The receipt of the file under `key`; where an upload is given, only if its record names
    /// that. The file is flushed first: its writer may not have done so yet.
    pub(super) async fn standing(self: &Arc<Self>, key: &Key, by: Option<UploadId>) -> Result<Option<Receipt>> {
        let (shared, looked_at) = (Arc::clone(self), key.clone());
        let (opened, look) = match blocking(move || shared.look_at(&looked_at, by.as_ref())).await? {
            Found::Nothing => return Ok(None),
            Found::Standing(receipt) => return Ok(Some(receipt)),
            Found::Unread(opened, look) => (opened, look),
        };
        let whole = self.readings.read(&self.disk, Arc::clone(&opened.file), look).await;
        let whole = whole.map_err(|error| looking_at(key, error))?;
        let (shared, key) = (Arc::clone(self), key.clone());
        blocking(move || shared.answer(&opened, whole, &key).map(Some)).await
    }

    fn look_at(&self, key: &Key, by: Option<&UploadId>) -> Result<Found<D::Handle>> {
        let failed = |errno: Errno| looking_at(key, errno);
        self.check_writable("looking at", key)?;
        let Some(opened) = self.tree.open_file(key).map_err(failed)? else { return Ok(Found::Nothing) };
        let is_by = |id: &UploadId| Record::read(&self.disk, &opened.file).is_some_and(|record| record.id == *id);
        if !by.is_none_or(is_by) {
            return Ok(Found::Nothing);
        }
        match self.readings.glance(&self.disk, &opened.file).map_err(failed)? {
            Glance::Known(whole) => self.answer(&opened, whole, key).map(Found::Standing),
            Glance::Unread(look) => Ok(Found::Unread(opened, look)),
        }
    }

    fn answer(&self, Opened { folder, file }: &Opened<D::Handle>, whole: Whole, key: &Key) -> Result<Receipt> {
        let receipt = self.receipt(file, key, whole)?;
        self.promise_standing(folder, file, key)?;
        Ok(receipt)
    }

    /// The receipt of a file that holds this, once it is flushed.
    pub(super) fn receipt(&self, file: &D::Handle, key: &Key, whole: Whole) -> Result<Receipt> {
        let receipt = record::receipt(&self.disk, file, key, self.terms.durability, whole);
        receipt.map_err(|errno| looking_at(key, errno))
    }
}

/// The error of a look at a key.
pub(super) fn looking_at(key: &Key, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Store, format!("looking at {:?}", key.as_str())).because(error)
}
