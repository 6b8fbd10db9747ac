//! Where a file's bytes come from: a file, which can be read again, or a stream that passes once.

use std::fmt;
use std::fs::Metadata;
use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncSeekExt, ReadBuf};

/// Where bytes come from.
pub struct Source(Origin);

enum Origin {
    File(PathBuf),
    Stream { reader: Pin<Box<dyn AsyncRead + Send>>, consumed: u64 },
}

/// A source that has been opened, at its first byte.
pub enum Body<'a> {
    /// A file.
    File(tokio::fs::File),
    /// A stream, and how many bytes have been taken from it.
    Stream(Pin<&'a mut (dyn AsyncRead + Send)>, &'a mut u64),
}

/// What tells whether a file is still the one that it was: which it is, how long, and when it was last written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The device that it lies on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
}

impl Look {
    /// The look of the file that this was said of.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Source {
    /// A file, opened anew for every try.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Origin::File(path.into()))
    }

    /// A stream such as standard input, which is tried again only while no byte has been taken from it.
    pub fn stream(reader: impl AsyncRead + Send + 'static) -> Self {
        Self(Origin::Stream { reader: Box::pin(reader), consumed: 0 })
    }

    /// Whether it can still be read from its first byte.
    pub fn is_whole(&self) -> bool {
        match &self.0 {
            Origin::File(_) => true,
            Origin::Stream { consumed, .. } => *consumed == 0,
        }
    }

    /// Opens it at its first byte.
    ///
    /// # Errors
    /// What the file system says of a file; [`io::ErrorKind::NotSeekable`] for a stream that is not whole any more;
    /// [`io::ErrorKind::IsADirectory`] for a folder, which opens but can't be read.
    pub async fn open(&mut self) -> io::Result<Body<'_>> {
        let whole = self.is_whole();
        match &mut self.0 {
            Origin::File(path) => {
                let file = tokio::fs::File::open(&*path).await?;
                if file.metadata().await?.is_dir() {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                Ok(Body::File(file))
            }
            Origin::Stream { reader, consumed } if whole => Ok(Body::Stream(reader.as_mut(), consumed)),
            Origin::Stream { .. } => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}

impl Body<'_> {
    /// How the file looks now; `None` for a stream, and where the system does not say.
    pub async fn look(&mut self) -> Option<Look> {
        match self {
            Self::File(file) => file.metadata().await.ok().map(|metadata| Look::of(&metadata)),
            Self::Stream(..) => None,
        }
    }

    /// Goes to a place in the file.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::NotSeekable`] for a stream that is not there.
    pub(super) async fn go_to(&mut self, offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.seek(SeekFrom::Start(offset)).await.map(drop),
            Self::Stream(_, consumed) if **consumed == offset => Ok(()),
            Self::Stream(..) => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::File(path) => f.debug_tuple("File").field(path).finish(),
            Origin::Stream { consumed, .. } => f.debug_struct("Stream").field("consumed", consumed).finish_non_exhaustive(),
        }
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Stream(_, consumed) => f.debug_struct("Stream").field("consumed", consumed).finish_non_exhaustive(),
        }
    }
}

impl AsyncRead for Body<'_> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::File(file) => Pin::new(file).poll_read(context, into),
            Self::Stream(reader, consumed) => {
                let before = into.filled().len();
                ready!(reader.as_mut().poll_read(context, into))?;
                **consumed += (into.filled().len() - before) as u64;
                Poll::Ready(Ok(()))
            }
        }
    }
}
