//! A sender that does what it is told on a connection of its own.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::common::serve::DEADLINE;
use crate::packets;

/// Connections at once: a crowd that fills the queue of a listener is reset by the kernel.
static PLACES: Semaphore = Semaphore::const_new(400);

/// The next step of a sender.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// One call of `send`.
    Send(Vec<u8>),
    Pause(Duration),
    /// A pause of at least so long that ends once the server has read everything: what follows is
    /// another packet for it.
    Separate(Duration),
    /// Reads one line of the answer.
    ReadLine,
}

/// How a sender ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Ends its side, and reads to the end.
    HalfClose,
    /// Closes without reading.
    Close,
    /// Resets the connection.
    Reset,
    /// Keeps the connection, and reads until the server ends it.
    Silence,
}

/// The conversation of a sender on its connection.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) steps: Vec<Step>,
    pub(crate) ending: Ending,
}

impl Conversation {
    /// Has the conversation with the server at `address`; all that was read of the answer, where it
    /// was read to its end.
    pub(crate) async fn hold(&self, address: &str) -> Option<String> {
        self.hold_timed(address).await.0
    }

    /// As [`Conversation::hold`], with the longest time that a step has taken: on a busy machine
    /// more than it was to take.
    pub(crate) async fn hold_timed(&self, address: &str) -> (Option<String>, Duration) {
        let mut longest = Duration::ZERO;
        (self.talk(address, &mut longest).await, longest)
    }

    async fn talk(&self, address: &str, longest: &mut Duration) -> Option<String> {
        let _place = PLACES.acquire().await.unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        let mut answer = Vec::new();
        for step in &self.steps {
            let begun = Instant::now();
            let goes_on = take(step, &mut socket, &mut answer).await;
            *longest = begun.elapsed().max(*longest);
            if !goes_on {
                break;
            }
        }
        match self.ending {
            Ending::Close => return None,
            Ending::Reset => {
                socket.set_zero_linger().unwrap();
                return None;
            }
            Ending::HalfClose => drop(socket.shutdown().await),
            Ending::Silence => {}
        }
        let ended = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut answer)).await;
        // A reset behind the answer is the server's way to end a sender that goes on.
        if ended.is_err() {
            answer.extend_from_slice(b"(the server does not end the connection)");
        }
        Some(String::from_utf8(answer).unwrap())
    }
}

/// Whether the sender can go on: a server that has refused may have closed.
async fn take(step: &Step, socket: &mut TcpStream, answer: &mut Vec<u8>) -> bool {
    match step {
        Step::Send(bytes) => return socket.write_all(bytes).await.is_ok(),
        Step::Pause(pause) => tokio::time::sleep(*pause).await,
        Step::Separate(pause) => {
            tokio::time::sleep(*pause).await;
            packets::until_read(socket).await;
        }
        Step::ReadLine => {
            let line =
                async { while !matches!(socket.read_u8().await.inspect(|byte| answer.push(*byte)), Ok(b'\n') | Err(_)) {} };
            tokio::time::timeout(DEADLINE, line).await.expect("the server answers");
            return answer.ends_with(b"\n");
        }
    }
    true
}
