//! Senders of the tests' own, that speak plain and framed and do not try again. They read every answer with suspicion.

use std::io;

use tidegate::error::{ErrorKind, Fault};
use tidegate::upload::Receipt;
use tidegate::wire::framed::{Event, Put, Request, decode_event, encode_request};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::book::{Answer, Book};
use crate::files::Job;

/// An answer to the whole upload, or why there is none.
pub(crate) type Heard = Result<Answer, String>;

/// How a plain sender says where its file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlainEnd {
    Size,
    EndOfStream,
}

/// How a framed sender names its upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Not at all: the server makes an id.
    None,
    /// By its id.
    Id,
    /// By its id, and it asks first how far it came.
    IdAndResume,
}

pub(crate) async fn plain(address: &str, job: &Job, bytes: &[u8], end: PlainEnd) -> Heard {
    let mut socket = connect(address).await.map_err(|error| error.to_string())?;
    let header = match end {
        PlainEnd::Size => format!("{} {}\n", job.name, bytes.len()),
        PlainEnd::EndOfStream => format!("{}\n", job.name),
    };
    socket.write_all(header.as_bytes()).await.map_err(|error| error.to_string())?;
    let written = socket.write_all(bytes).await;
    if written.is_ok() && end == PlainEnd::EndOfStream {
        socket.shutdown().await.map_err(|error| error.to_string())?;
    }
    let mut answer = String::new();
    let read = socket.read_to_string(&mut answer).await;
    match answer.strip_suffix('\n').map(|line| line.split(' ').collect::<Vec<_>>()).as_deref() {
        Some(["OK", key, size, digest]) => {
            if (*size, *digest) == (bytes.len().to_string().as_str(), job.digest.to_string().as_str()) {
                // Plain answers do not say whether it was a duplicate.
                return Ok(Answer::Receipt { key: (*key).to_owned(), duplicate: false });
            }
            Ok(wrong(&answer))
        }
        Some(["ERR", code, ..]) => refusal(code, &answer),
        Some(_) => Ok(wrong(&answer)),
        None => Err(format!("no answer: wrote {written:?}, read {read:?}")),
    }
}

pub(crate) async fn framed(address: &str, job: &Job, bytes: &[u8], naming: Naming, book: &Book) -> Heard {
    let (from_server, mut to_server) = connect(address).await.map_err(|error| error.to_string())?.into_split();
    let mut lines = BufReader::new(from_server).split(b'\n');
    let put = Put {
        id: (naming != Naming::None).then(|| job.id.to_string()),
        name: job.name.clone(),
        size: Some(bytes.len() as u64),
        digest: Some(job.digest.to_string()),
        resume: naming == Naming::IdAndResume,
        ..Put::default()
    };
    to_server.write_all(encode_request(&Request::Put(put)).as_bytes()).await.map_err(|error| error.to_string())?;
    let mut offset = 0;
    if naming == Naming::IdAndResume {
        let line = lines.next_segment().await.map_err(|error| error.to_string())?.ok_or("closed instead of ready")?;
        match decode_event(&line) {
            Ok(Event::Ready { id, offset: ready }) if id == job.id.as_str() && ready <= bytes.len() as u64 => {
                offset = usize::try_from(ready).unwrap();
                if offset > 0 {
                    book.resumed();
                }
            }
            _ => return outcome(&line, job, bytes, naming),
        }
    }
    let written = to_server.write_all(&bytes[offset..]).await;
    match lines.next_segment().await {
        Ok(Some(line)) => outcome(&line, job, bytes, naming),
        read => Err(format!("no answer: wrote {written:?}, read {read:?}")),
    }
}

fn outcome(line: &[u8], job: &Job, bytes: &[u8], naming: Naming) -> Heard {
    let shown = String::from_utf8_lossy(line);
    let (id, heard) = match decode_event(line) {
        Ok(Event::Committed { id, receipt }) => (id, Ok(receipt_answer(&receipt, job, bytes.len()))),
        Ok(Event::Rejected { id, code, .. }) => (id, refusal(&code, &shown)),
        Ok(Event::Failed { id, .. }) => (id, Err(shown.clone().into_owned())),
        Ok(Event::Error { code, .. }) => return refusal(&code, &shown),
        // A line that was cut.
        Err(_) if !line.ends_with(b"}") => return Err(format!("half an answer: {shown}")),
        Ok(Event::Ready { .. } | Event::Hello { .. }) | Err(_) => return Ok(wrong(&shown)),
    };
    if naming != Naming::None && id != job.id.as_str() { Ok(wrong(&shown)) } else { heard }
}

/// What a receipt says, if it is for what was sent.
pub(crate) fn receipt_answer(receipt: &Receipt, job: &Job, bytes: usize) -> Answer {
    let is_ours = (receipt.size, receipt.digest, receipt.name.as_str()) == (bytes as u64, job.digest, job.name.as_str());
    if is_ours {
        return Answer::Receipt { key: receipt.key.to_string(), duplicate: receipt.duplicate };
    }
    wrong(&format!("{receipt:?}"))
}

/// An answer that must not be, which the judge will find.
pub(crate) fn wrong(answer: &str) -> Answer {
    Answer::Rejected { code: format!("wrong answer: {answer}") }
}

fn refusal(code: &str, answer: &str) -> Heard {
    match ErrorKind::of_code(code).map(ErrorKind::fault) {
        Some(Fault::Upload) => Ok(Answer::Rejected { code: code.to_owned() }),
        Some(Fault::Passing) => Err(answer.to_owned()),
        None => Ok(wrong(answer)),
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    // Who gives up, resets: the end of a stream may be the end of a file.
    socket.set_zero_linger()?;
    Ok(socket)
}
