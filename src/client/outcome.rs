//! What became of a file, and how an answer becomes that.

use crate::client::Upload;
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

impl Outcome {
    pub(super) fn failed(error: &Error) -> Self {
        let retry = error.kind().fault() == Fault::Passing;
        Self::Failed { code: error.kind().code().to_owned(), message: error.to_string(), retry }
    }
}

/// What an answer means for a file that was sent as `tally` says; `None` where its end has not been sent.
pub(super) fn outcome(event: Event, tally: Option<&Tally>) -> Result<Outcome> {
    match (event, tally) {
        (Event::Committed { receipt, id: _ }, Some(tally)) => Ok(checked(receipt, tally)),
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

/// A receipt counts for what was sent and for nothing else.
pub(super) fn checked(receipt: Receipt, tally: &Tally) -> Outcome {
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
