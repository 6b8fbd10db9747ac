//! The one error type, and the closed list of what can go wrong.
//!
//! A kind is what a program decides by: the front ends map every [`ErrorKind`] to a wire code in one exhaustive match, the
//! metrics count by it. The message is for people: lower-case, without a trailing period, naming the thing. This module
//! does not know who reports an error, nor how one travels.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt::{self, Write as _};

use crate::escape;

/// `Result` with tidegate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as anybody has to decide something by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A header or a control line does not parse, or breaks the protocol.
    BadHeader,
    /// A name that cannot become a [`Key`](crate::upload::Key).
    BadName,
    /// More bytes than the configuration allows.
    TooLarge,
    /// More or fewer bytes than were announced.
    SizeMismatch,
    /// The bytes do not have the digest that the sender claims.
    DigestMismatch,
    /// A validator refused the content; the source is a [`Report`](crate::report::Report).
    Invalid,
    /// The name is taken by other content and may not be replaced, or by a folder, or lies below a
    /// file.
    Conflict,
    /// The stream ended, or was reset, where the protocol allows no end.
    Incomplete,
    /// The sender gave the upload up.
    Aborted,
    /// A deadline passed while waiting for the sender.
    Timeout,
    /// Every connection slot was taken, and this sender was slower than the least rate that keeps
    /// one.
    TooSlow,
    /// Another connection writes this upload, there are too many connections, or the memory is in
    /// use.
    Busy,
    /// The store has no room.
    NoSpace,
    /// The server is draining.
    ShuttingDown,
    /// The store failed, and nothing was committed.
    Store,
    /// The store did not answer: the upload may or may not have been committed. Only looking settles it.
    Unknown,
    /// What was asked for does not exist here.
    Unsupported,
    /// The configuration, or a command line, is at fault.
    Config,
    /// The clock of the server is not set: before 1970, or after 9999.
    Clock,
    /// Reading or writing on this side of the wire failed (a client's file, a listener).
    Io,
}

/// Whose fault an error is, and so what the sender should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The upload itself: sending it again unchanged fails again.
    Upload,
    /// The connection, the server or the store: sending it again may succeed.
    Passing,
}

impl ErrorKind {
    /// Every kind there is.
    pub const ALL: [Self; 20] = [
        Self::BadHeader,
        Self::BadName,
        Self::TooLarge,
        Self::SizeMismatch,
        Self::DigestMismatch,
        Self::Invalid,
        Self::Conflict,
        Self::Incomplete,
        Self::Aborted,
        Self::Timeout,
        Self::TooSlow,
        Self::Busy,
        Self::NoSpace,
        Self::ShuttingDown,
        Self::Store,
        Self::Unknown,
        Self::Unsupported,
        Self::Config,
        Self::Clock,
        Self::Io,
    ];

    /// The kind whose [`code`](Self::code) this is, if it is one of ours.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The code that stands on the wire, in logs and as the `reason` label of the metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadHeader => "bad_header",
            Self::BadName => "bad_name",
            Self::TooLarge => "too_large",
            Self::SizeMismatch => "size_mismatch",
            Self::DigestMismatch => "digest_mismatch",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::Incomplete => "incomplete",
            Self::Aborted => "aborted",
            Self::Timeout => "timeout",
            Self::TooSlow => "too_slow",
            Self::Busy => "busy",
            Self::NoSpace => "no_space",
            Self::ShuttingDown => "shutting_down",
            Self::Store => "store",
            Self::Unknown => "unknown",
            Self::Unsupported => "unsupported",
            Self::Config => "config",
            Self::Clock => "clock",
            Self::Io => "io",
        }
    }

    /// Whether the upload is at fault, or something that may pass.
    pub const fn fault(self) -> Fault {
        match self {
            Self::BadHeader
            | Self::BadName
            | Self::TooLarge
            | Self::SizeMismatch
            | Self::DigestMismatch
            | Self::Invalid
            | Self::Conflict
            | Self::Aborted
            | Self::Unsupported
            | Self::Config => Fault::Upload,
            Self::Incomplete
            | Self::Timeout
            | Self::TooSlow
            | Self::Busy
            | Self::NoSpace
            | Self::ShuttingDown
            | Self::Store
            | Self::Unknown
            | Self::Clock
            | Self::Io => Fault::Passing,
        }
    }
}

/// What went wrong, in words, with the cause below it.
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// Which readers may see the cause.
    audience: Audience,
}

/// Which readers may see the cause of an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    Public,
    /// The operator, in the log: it may name endpoints, buckets, paths.
    Operator,
}

impl Error {
    /// An error that starts here.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None, audience: Audience::Public }
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with a cause that only the operator may read: it is in the log, and senders are not told.
    #[must_use]
    pub fn because_internal(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { audience: Audience::Operator, ..self.because(source) }
    }

    /// The same error, whose message goes on with `more`. A public cause becomes a part of the
    /// message, and is no longer found by its type.
    #[must_use]
    pub fn with_suffix(self, more: &str) -> Self {
        let whole = match self.audience {
            Audience::Public => self.to_string(),
            Audience::Operator => self.message.to_string(),
        };
        let source = self.source.filter(|_| self.audience == Audience::Operator);
        Self { message: format!("{whole}{more}").into(), source, ..self }
    }

    /// What a sender is told, and what the ledger keeps: all but what only the operator may read.
    pub fn public_message(&self) -> String {
        match self.audience {
            Audience::Public => self.to_string(),
            Audience::Operator => Self::new(self.kind, self.message.clone()).to_string(),
        }
    }

    /// What to decide by.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The nearest cause of type `T`, this error's source included.
    pub fn find<T: StdError + 'static>(&self) -> Option<&T> {
        let mut cause = self.source.as_deref().map(|source| source as &(dyn StdError + 'static));
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }
}

/// The message, then every cause behind a colon: one line, whatever a sender has put into it. What [`escape`] escapes can not
/// forge a line of the log.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The operator's own files and variables: a line for each problem.
        let line_breaks = if self.kind == ErrorKind::Config { LineBreaks::Kept } else { LineBreaks::Escaped };
        let mut f = Escaping(f, line_breaks);
        f.write_str(&self.message)?;
        let mut cause = self.source.as_deref().map(|source| source as &(dyn StdError + 'static));
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            // An `Error` has already printed what lies below it.
            cause = if error.is::<Self>() { None } else { error.source() };
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineBreaks {
    Kept,
    Escaped,
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>, LineBreaks);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = self.1;
        let escaped = |char: char| escape::is_escaped(char) && !(char == '\n' && kept == LineBreaks::Kept);
        for part in text.split_inclusive(escaped) {
            let plain = part.trim_end_matches(escaped);
            self.0.write_str(plain)?;
            part[plain.len()..].chars().try_for_each(|control| write!(self.0, "{}", control.escape_default()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

/// `source` is `None` on purpose: [`Display`](fmt::Display) already prints the causes, and who wants one of a type asks
/// [`Error::find`].
impl StdError for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_every_cause_once() {
        let io = std::io::Error::other("disk on fire");
        let inner = Error::new(ErrorKind::Store, "fsync \"a.csv\"").because(io);
        let outer = Error::new(ErrorKind::Store, "committing \"a.csv\"").because(inner);
        assert_eq!(outer.to_string(), "committing \"a.csv\": fsync \"a.csv\": disk on fire");
    }

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let error = Error::new(ErrorKind::BadHeader, "a\nINFO forged\r\u{1b}[31m\u{85}é").because("x\ty\n\u{202e}");
        assert_eq!(error.to_string(), "a\\nINFO forged\\r\\u{1b}[31m\\u{85}é: x\\ty\\n\\u{202e}");
    }

    #[test]
    fn what_only_the_operator_may_read_is_not_told() {
        let error = || Error::new(ErrorKind::Store, "the store failed").because_internal("http://10.0.0.7:9000/bucket");
        assert_eq!(error().to_string(), "the store failed: http://10.0.0.7:9000/bucket");
        assert_eq!(error().public_message(), "the store failed");
        assert_eq!(error().with_suffix("; more").public_message(), "the store failed; more");
        assert_eq!(error().with_suffix("; more").to_string(), "the store failed; more: http://10.0.0.7:9000/bucket");
        let public = Error::new(ErrorKind::Invalid, "not valid").because("line 3").with_suffix("; more");
        assert_eq!(
            (public.to_string(), public.public_message()),
            ("not valid: line 3; more".to_owned(), public.to_string())
        );
    }

    #[test]
    fn a_cause_is_found_by_its_type() {
        let error = Error::new(ErrorKind::Io, "reading").because(std::io::Error::other("gone"));
        assert_eq!(error.find::<std::io::Error>().map(ToString::to_string), Some("gone".to_owned()));
        assert!(error.find::<fmt::Error>().is_none());
    }
}
