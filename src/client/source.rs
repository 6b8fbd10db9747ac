//! Where a file's bytes come from: a file, which can be read again, or a stream that passes once.

use std::fmt;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncSeekExt, ReadBuf};

use super::look::{Change, Look};
use super::path::FilePath;

/// Where bytes come from.
pub struct Source(Origin);

enum Origin {
    File {
        path: FilePath,
        /// The state that the upload's id stands for, where it was asked for.
        look: Option<Look>,
    },
    Stream {
        reader: Pin<Box<dyn AsyncRead + Send>>,
        consumed: u64,
    },
}

/// A source that has been opened, at its first byte.
pub enum Body<'a> {
    /// A file.
    File(OpenFile),
    /// A stream, and how many bytes have been taken from it.
    Stream(Pin<&'a mut (dyn AsyncRead + Send)>, &'a mut u64),
}

/// A file that is being read.
#[derive(Debug)]
pub struct OpenFile {
    file: tokio::fs::File,
    path: FilePath,
    /// Its state before the first byte was read.
    look: Look,
}

impl Source {
    /// A file, opened anew for every try. Symbolic links are followed.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Origin::File { path: FilePath::Following(path.into()), look: None })
    }

    /// The file `relative` to `folder`, to which no symbolic link below `folder` leads.
    pub fn file_below(folder: Arc<Path>, relative: impl Into<PathBuf>) -> Self {
        Self(Origin::File { path: FilePath::Below { folder, relative: relative.into() }, look: None })
    }

    /// A stream such as standard input, which is tried again only while no byte has been taken from it.
    pub fn stream(reader: impl AsyncRead + Send + 'static) -> Self {
        Self(Origin::Stream { reader: Box::pin(reader), consumed: 0 })
    }

    /// The state of the file now, for an upload id that stands for it; `None` for a stream. A file that is in another state when
    /// it is opened is sent under another id.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn look(&mut self) -> io::Result<Option<Look>> {
        match &mut self.0 {
            Origin::File { path, look } => {
                *look = Some(look_at(path).await?);
                Ok(*look)
            }
            Origin::Stream { .. } => Ok(None),
        }
    }

    /// What [`Source::look`] has seen last.
    pub(super) fn last_look(&self) -> Option<Look> {
        match self.0 {
            Origin::File { look, .. } => look,
            Origin::Stream { .. } => None,
        }
    }

    /// Waits for so long; whether the file has not changed meanwhile.
    pub(super) async fn is_settled(&mut self, settle: Duration) -> io::Result<bool> {
        let Origin::File { path, .. } = &self.0 else { return Ok(true) };
        let before = look_at(path).await?;
        tokio::time::sleep(settle).await;
        Ok(look_at(path).await? == before)
    }

    /// Whether it can still be read from its first byte.
    pub fn is_whole(&self) -> bool {
        match &self.0 {
            Origin::File { .. } => true,
            Origin::Stream { consumed, .. } => *consumed == 0,
        }
    }

    /// Opens it at its first byte.
    ///
    /// # Errors
    /// What the file system says of a file; [`io::ErrorKind::NotSeekable`] for a stream that is not whole any more;
    /// [`io::ErrorKind::IsADirectory`] for a folder, which opens but can't be read; [`io::ErrorKind::InvalidInput`] for what is no
    /// regular file.
    pub async fn open(&mut self) -> io::Result<Body<'_>> {
        let whole = self.is_whole();
        match &mut self.0 {
            Origin::File { path, .. } => Ok(Body::File(OpenFile::open(path.clone()).await?)),
            Origin::Stream { reader, consumed } if whole => Ok(Body::Stream(reader.as_mut(), consumed)),
            Origin::Stream { .. } => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}

impl Body<'_> {
    /// The state of the file before its first byte was read; `None` for a stream.
    pub fn look(&self) -> Option<Look> {
        match self {
            Self::File(file) => Some(file.look),
            Self::Stream(..) => None,
        }
    }

    /// Whether and how the file has changed since it was opened; never for a stream. Where it has not, all that was read so far
    /// is of one state.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) async fn change(&mut self) -> io::Result<Option<Change>> {
        match self {
            Self::File(file) => file.change().await,
            Self::Stream(..) => Ok(None),
        }
    }

    /// Goes to a place in the file.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::NotSeekable`] for a stream that is not there.
    pub(super) async fn go_to(&mut self, offset: u64) -> io::Result<()> {
        match self {
            Self::File(open) => open.file.seek(SeekFrom::Start(offset)).await.map(drop),
            Self::Stream(_, consumed) if **consumed == offset => Ok(()),
            Self::Stream(..) => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}

impl OpenFile {
    /// Opens a file, and waits until the stamp of its last change could not be that of a further one: some milliseconds behind
    /// a write, otherwise not at all.
    async fn open(path: FilePath) -> io::Result<Self> {
        let opening = path.clone();
        let file = blocking(move || opening.open()).await?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no regular file is in its place any more"));
        }
        let look = Look::of(&metadata);
        let unsure_for = look.unsure_for(SystemTime::now());
        if !unsure_for.is_zero() {
            tokio::time::sleep(unsure_for).await;
        }
        Ok(Self { file: tokio::fs::File::from_std(file), path, look })
    }

    async fn change(&self) -> io::Result<Option<Change>> {
        let now = Look::of(&self.file.metadata().await?);
        let there = match look_at(&self.path).await {
            Ok(there) => Some(there),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(cause),
        };
        Ok(self.look.change(&now, there.as_ref()))
    }
}

async fn look_at(path: &FilePath) -> io::Result<Look> {
    let path = path.clone();
    blocking(move || Look::at(&path)).await
}

/// Does what may wait for a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::File { path, look } => f.debug_struct("File").field("path", path).field("look", look).finish(),
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
            Self::File(open) => Pin::new(&mut open.file).poll_read(context, into),
            Self::Stream(reader, consumed) => {
                let before = into.filled().len();
                ready!(reader.as_mut().poll_read(context, into))?;
                **consumed += (into.filled().len() - before) as u64;
                Poll::Ready(Ok(()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_was_just_written_is_read_when_a_further_write_would_show() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "just now").unwrap();
        let mut source = Source::file(file.path());
        let mut body = source.open().await.unwrap();
        assert_eq!(body.look().unwrap().unsure_for(SystemTime::now()), Duration::ZERO);
        assert_eq!(body.change().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_regular_file_is_not_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let kind = Source::file(folder.path()).open().await.map(drop).unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::IsADirectory);
        let kind = Source::file("/dev/null").open().await.map(drop).unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::InvalidInput);
    }
}
