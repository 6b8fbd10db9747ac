//! What became of a file, and how an answer becomes that.

use super::Upload;
use super::connection::closed;
use super::look::Change;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::report::Report;
use crate::upload::{Receipt, Tally};
use crate::wire::framed::Event;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable, and what the server has is what was sent.
    Committed(Receipt),
    /// The file is at fault: sending it again unchanged fails again.
    Rejected {
        /// A stable name for what is wrong.
        code: String,
        /// The same in words.
        message: String,
        /// What the validator found, where it was a validator.
        report: Option<Report>,
    },
    /// The connection, the server, the store or this side's file is at fault.
    Failed {
        /// A stable name for what went wrong.
        code: String,
        /// The same in words.
        message: String,
        /// Whether sending it again may succeed.
        retry: bool,
    },
}

/// The code of a file that changed while it was read. It is not on the wire: a server never sees the end of such a file.
const CHANGED: &str = "changed";

impl Outcome {
    pub(super) fn failed(error: &Error) -> Self {
        let retry = error.kind().fault() == Fault::Passing;
        Self::Failed { code: error.kind().code().to_owned(), message: error.to_string(), retry }
    }

    /// The file is in no state that could be stored. It may be sent once it does not change any more.
    pub(super) fn changed(upload: &Upload, change: Change) -> Self {
        Self::Failed { code: CHANGED.to_owned(), message: format!("{:?} {change}", upload.key.as_str()), retry: true }
    }

    pub(super) fn is_changed(&self) -> bool {
        matches!(self, Self::Failed { code, .. } if code == CHANGED)
    }

    /// The same outcome with a message that goes on with `more`.
    pub(super) fn with_suffix(mut self, more: &str) -> Self {
        match &mut self {
            Self::Committed(_) => {}
            Self::Rejected { message, .. } | Self::Failed { message, .. } => message.push_str(more),
        }
        self
    }
}

/// What an answer means for a file that was sent as `tally` says; `None` where its end has not been sent.
pub(super) fn outcome(upload: &Upload, event: Event, tally: Option<&Tally>) -> Result<Outcome> {
    match (event, tally) {
        (Event::Committed { receipt, id: _ }, Some(tally)) => Ok(checked(upload, receipt, tally)),
        (Event::Rejected { code, message, report, id: _ }, _) => Ok(Outcome::Rejected { code, message, report }),
        (Event::Failed { code, message, retry, id: _ }, _) => Ok(Outcome::Failed { code, message, retry }),
        (Event::Committed { .. }, None) => {
            Err(Error::new(ErrorKind::BadHeader, "the server says committed before the end of the file was sent"))
        }
        (Event::Ready { .. } | Event::Hello { .. } | Event::Error { .. }, _) => {
            Err(Error::new(ErrorKind::BadHeader, "the server answers a file's end with something else than its outcome"))
        }
    }
}

/// The event, if it answers this upload; an error that closes the connection answers every upload.
pub(super) fn owned_by(upload: &Upload, event: Event) -> Result<Event> {
    match &event {
        Event::Ready { id, .. } | Event::Committed { id, .. } | Event::Rejected { id, .. } | Event::Failed { id, .. } => {
            if id == upload.id.as_str() {
                return Ok(event);
            }
            let message = format!("the server answers for upload {id:?}, which is not under way");
            Err(Error::new(ErrorKind::BadHeader, message))
        }
        Event::Hello { .. } => Err(Error::new(ErrorKind::BadHeader, "the server says hello in the middle of an upload")),
        Event::Error { code, message } => Err(closed(code, message)),
    }
}

/// A receipt counts for what was sent and for nothing else.
pub(super) fn checked(upload: &Upload, receipt: Receipt, tally: &Tally) -> Outcome {
    // A store that keeps no names beside its files knows of an earlier upload only where it lies.
    let is_unnamed = receipt.duplicate && receipt.name == receipt.key;
    if receipt.name != upload.key && !is_unnamed {
        let message = format!("the receipt is for {:?}, but {:?} was sent", receipt.name.as_str(), upload.key.as_str());
        return Outcome::failed(&Error::new(ErrorKind::BadHeader, message));
    }
    let digest = tally.digest();
    if (receipt.size, receipt.digest) == (tally.size(), digest) {
        return Outcome::Committed(receipt);
    }
    let message = format!(
        "the receipt is for {} bytes with {}, but the file has {} bytes with {digest}",
        receipt.size,
        receipt.digest,
        tally.size()
    );
    Outcome::failed(&Error::new(ErrorKind::DigestMismatch, message))
}

/// This side's file is at fault, which does not pass by trying again.
pub(super) fn unreadable(upload: &Upload, cause: std::io::Error) -> Outcome {
    let error = Error::new(ErrorKind::Io, format!("reading {:?}", upload.key.as_str())).because(cause);
    Outcome::Failed { code: error.kind().code().to_owned(), message: error.to_string(), retry: false }
}
