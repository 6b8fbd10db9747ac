//! A server that is killed and started again, with doors that stay where they are.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::chance::Chance;
use crate::common::proxy::{Cut, Ends, Flow, How, Line, Proxy, Stop, When};

/// How a sender gets to a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Door {
    /// Straight to the process that runs now.
    Direct,
    /// By a line that only breaks when the process does.
    Calm,
    /// By a line that breaks by itself.
    Rough,
}

/// What a process is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lives {
    /// To serve, and to be killed.
    ToServe,
    /// To remove what was left, soon.
    ToSweep,
}

pub(crate) struct Node {
    command: Box<dyn Fn(Lives) -> Command + Send + Sync>,
    process: Mutex<Process>,
    address: Mutex<String>,
    calm: Proxy,
    rough: Proxy,
    kills: AtomicU64,
}

#[derive(Default)]
struct Process {
    child: Option<Child>,
    /// Whether no other one may follow.
    is_last: bool,
}

impl Node {
    /// A node that `command` starts; its line is rough while `storm` is set.
    pub(crate) fn new(
        command: impl Fn(Lives) -> Command + Send + Sync + 'static,
        storm: Arc<AtomicBool>,
        mut chance: Chance,
    ) -> Self {
        let nowhere = "127.0.0.1:1";
        let plan = move |_| if storm.load(Ordering::SeqCst) { rough(&mut chance) } else { Line::default() };
        Self {
            command: Box::new(command),
            process: Mutex::default(),
            address: Mutex::new(nowhere.to_owned()),
            calm: Proxy::calm(nowhere),
            rough: Proxy::start(nowhere, plan),
            kills: AtomicU64::new(0),
        }
    }

    /// Where this door is.
    pub(crate) fn address(&self, door: Door) -> String {
        match door {
            Door::Direct => self.address.lock().unwrap().clone(),
            Door::Calm => self.calm.address(),
            Door::Rough => self.rough.address(),
        }
    }

    /// Starts the server, and waits until it listens; whether it lived to do so.
    pub(crate) fn start(&self, lives: Lives, early_death: Option<Duration>) -> bool {
        let said = {
            let mut process = self.process.lock().unwrap();
            if process.is_last {
                return false;
            }
            let mut child = (self.command)(lives).stdout(Stdio::piped()).spawn().unwrap();
            let said = child.stdout.take().unwrap();
            process.child = Some(child);
            said
        };
        if let Some(age) = early_death {
            std::thread::sleep(age);
            self.kill();
        }
        let mut said = BufReader::new(said).lines().map_while(Result::ok);
        let Some(listening) = said.find_map(|line| Some(line.trim().strip_prefix("listening  ")?.to_owned())) else {
            return false;
        };
        // The greeting's last line: what it says after that nobody reads.
        let greeted = said.any(|line| line.trim().starts_with("try "));
        let address = listening.split(' ').next().unwrap();
        address.clone_into(&mut self.address.lock().unwrap());
        self.calm.lead_to(address);
        self.rough.lead_to(address);
        greeted
    }

    /// `SIGKILL`.
    pub(crate) fn kill(&self) {
        let child = self.process.lock().unwrap().child.take();
        if let Some(mut child) = child {
            child.kill().unwrap();
            child.wait().unwrap();
            self.kills.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Kills it for good.
    pub(crate) fn end(&self) {
        self.process.lock().unwrap().is_last = true;
        self.kill();
    }

    /// Kills and starts again while `storm` is set, and leaves the server running.
    pub(crate) fn torment(&self, storm: &AtomicBool, chance: &mut Chance) {
        assert!(self.start(Lives::ToServe, None), "a server does not start");
        while storm.load(Ordering::SeqCst) {
            // Some lives end in the middle of everything, some are long enough for the largest files.
            let life = if chance.one_in(2) { chance.within(0..600) } else { chance.within(500..3_000) };
            std::thread::sleep(Duration::from_millis(life));
            self.kill();
            while chance.one_in(4) {
                self.start(Lives::ToServe, Some(Duration::from_millis(chance.within(0..60))));
            }
            assert!(self.start(Lives::ToServe, None), "a server does not start again");
        }
    }

    pub(crate) fn kills(&self) -> u64 {
        self.kills.load(Ordering::SeqCst)
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.rough.cuts()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

/// What becomes of a connection in a storm.
fn rough(chance: &mut Chance) -> Line {
    // As often in a header as in a large file.
    let magnitude = *chance.pick(&[200, 20_000, 500_000, 8_000_000]);
    let bytes = chance.within(0..magnitude);
    let how = *chance.pick(&[How::Reset, How::Close]);
    let ends = *chance.pick(&[Ends::Both, Ends::Both, Ends::Both, Ends::Client, Ends::Server]);
    let stop = *chance.pick(&[Stop::Stall, Stop::Swallow]);
    let cut = |when| Line { cut: Some(Cut { when, how, ends }), ..Line::default() };
    match chance.within(0..16) {
        0..6 => cut(When::ToServer(bytes)),
        6..8 => cut(When::ToClient(chance.within(0..600))),
        8..10 => cut(When::After(Duration::from_millis(chance.within(0..900)))),
        10 => Line { to_server: Flow::stopping(bytes, stop), ..Line::default() },
        11 => Line { to_client: Flow::stopping(chance.within(0..600), stop), ..Line::default() },
        12 => Line { to_server: Flow::bytewise(), ..cut(When::After(Duration::from_millis(500))) },
        13 => Line { to_server: Flow::at_rate(1_000_000), ..Line::default() },
        _ => Line::default(),
    }
}
