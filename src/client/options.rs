//! Deadlines of a client, and its name.

use std::time::Duration;

/// How long the client waits, and what it calls itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// From the look-up of the host's name to the end of the server's hello.
    pub connect_timeout: Duration,
    /// How long a transfer may make no progress: from one byte that the server takes to the next (a
    /// server whose store is slow makes its senders wait), and from the question how much of a file
    /// it has to the answer.
    pub idle_timeout: Duration,
    /// From the last byte of a file to the answer: the server's commit.
    pub answer_timeout: Duration,
    /// How long giving an upload up may take, its answer included. Behind that the connection is
    /// given up instead.
    pub abort_timeout: Duration,
    /// The name of the client in the server's log and ledger.
    pub collector: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(2),
            answer_timeout: Duration::from_mins(10),
            abort_timeout: Duration::from_secs(10),
            collector: None,
        }
    }
}
