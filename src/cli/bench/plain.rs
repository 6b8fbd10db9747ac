//! Plain: a connection for each file, and a line for an answer.

use std::io::IoSlice;
use std::time::Instant;

use tokio::io::BufReader;
use tokio::net::TcpStream;

use super::book::{Failure, Receipt};
use super::line;
use super::load::{File, Load};
use crate::error::ErrorKind;

/// More than a receipt has.
const ANSWER_BYTES: usize = 2048;

/// Sends one file after the other until the load is done, or no connection can be had.
pub(super) async fn run(load: &Load) {
    while let Some(file) = load.next() {
        let began = Instant::now();
        let stream = match line::dial(load).await {
            Ok(stream) => stream,
            Err(failure) => {
                load.book.failed(&failure);
                load.book.gave_up_connecting();
                return;
            }
        };
        match exchange(&file, stream).await {
            Ok(()) => load.book.committed(file.class, file.body.size, began.elapsed(), &Receipt::default()),
            Err(failure) => load.book.failed(&failure.of(&file.name)),
        }
    }
}

/// Sends a file and reads its receipt.
async fn exchange(file: &File<'_>, mut stream: TcpStream) -> Result<(), Failure> {
    let (reader, mut writer) = stream.split();
    let header = format!("{} {}\n", file.name, file.body.size);
    let write = async {
        let mut pieces = vec![IoSlice::new(header.as_bytes())];
        pieces.extend(file.body.pieces.iter().map(|piece| IoSlice::new(piece)));
        line::write_all(&mut writer, &mut pieces).await?;
        // The server need not wait whether more comes than was announced.
        line::end(&mut writer).await
    };
    let read = async {
        let mut answer = Vec::new();
        let answered = line::read_line(&mut BufReader::with_capacity(ANSWER_BYTES, reader), &mut answer).await?;
        if answered { check(file, &answer) } else { Err(line::unanswered()) }
    };
    line::both(write, read).await
}

/// Holds an answer against what was sent.
fn check(file: &File<'_>, answer: &[u8]) -> Result<(), Failure> {
    let strange = || {
        let shown = answer.escape_ascii().to_string();
        Failure::new(ErrorKind::BadHeader, format!("the server answers \"{shown}\""))
    };
    let answer = std::str::from_utf8(answer).map_err(|_| strange())?.trim_end();
    if let Some((code, message)) = answer.strip_prefix("ERR ").and_then(|error| error.split_once(' ')) {
        return Err(Failure::told(code, message));
    }
    let mut words = answer.strip_prefix("OK ").ok_or_else(strange)?.rsplitn(3, ' ');
    let (Some(digest), Some(Ok(size)), Some(key)) = (words.next(), words.next().map(str::parse::<u64>), words.next()) else {
        return Err(strange());
    };
    file.check(key, size, digest)
}
