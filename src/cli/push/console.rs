//! What a push says: receipts on standard output, everything else on standard error, and a bar where a person watches.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::cli::print::{self, Form, committed, files, flaw, line};
use crate::client::{Delivery, Outcome};
use crate::escape;
use crate::report::Report;
use crate::upload::Receipt;

/// Where a push says what it does; shared by its workers.
#[derive(Debug)]
pub(super) struct Console {
    form: Form,
    files: usize,
    bar: ProgressBar,
    begun: Instant,
    count: Mutex<Summary>,
}

/// What became of all files.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Summary {
    committed: usize,
    committed_bytes: u64,
    sent_bytes: u64,
    resumed: usize,
    rejected: usize,
    failed: usize,
}

impl Summary {
    /// A failure weighs more than a rejection, because it is worth another push.
    pub(super) fn exit_code(self) -> ExitCode {
        match self {
            Self { failed: 1.., .. } => ExitCode::from(1),
            Self { rejected: 1.., .. } => ExitCode::from(3),
            Self { .. } => ExitCode::SUCCESS,
        }
    }
}

impl Console {
    /// A console for so many files, with so many bytes if that is known.
    pub(super) fn new(form: Form, files: usize, bytes: Option<u64>) -> Self {
        // Indicatif draws nothing where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr()).with_style(style(bytes));
        bar.set_message(format!("0/{files}"));
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { form, files, bar, begun: Instant::now(), count: Mutex::default() }
    }

    /// A file that is being sent.
    pub(super) fn file(&self, size: Option<u64>) -> FileProgress<'_> {
        FileProgress { bar: &self.bar, size, sent: 0 }
    }

    /// Says something to the person who watches.
    pub(super) fn note(&self, text: &str) {
        self.bar.suspend(|| print::note(text));
    }

    /// Says what became of a file.
    pub(super) fn report(&self, path: &Path, name: &str, delivery: &Delivery) {
        let done = self.add(delivery);
        let path = escape::path(path);
        self.bar.suspend(|| match (self.form, &delivery.outcome) {
            (Form::Json, _) => print::json(&json(&path, name, delivery)),
            (Form::Text, Outcome::Committed(receipt)) => {
                line(&committed(receipt));
                if let Some(report) = &receipt.report {
                    print::note(&print::let_pass(&path, report));
                }
            }
            (Form::Text, Outcome::Rejected { code, message, report }) => {
                print::note(&format!("rejected   {path}: {}", flaw(code, message, report.as_ref())));
            }
            (Form::Text, Outcome::Failed { code, message, .. }) => {
                print::note(&format!("failed     {path}: {message} [{code}]"));
            }
        });
        self.bar.set_message(format!("{done}/{}", self.files));
    }

    /// Says what became of all files together.
    pub(super) fn summary(&self) -> Summary {
        self.bar.finish_and_clear();
        {
            // What no worker has reported on was not committed, whatever became of the worker.
            let mut count = self.count();
            count.failed = self.files.saturating_sub(count.committed + count.rejected);
        }
        let Summary { committed, committed_bytes, sent_bytes, resumed, rejected, failed } = *self.count();
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut told = format!("{committed} of {} committed", files(self.files));
        if committed > 0 {
            _ = write!(told, ", {} in {seconds:.1} s", BinaryBytes(committed_bytes));
        }
        if resumed > 0 {
            _ = write!(told, ", {} sent, {} resumed", BinaryBytes(sent_bytes), files(resumed));
        }
        for (number, what) in [(rejected, "rejected"), (failed, "failed")].into_iter().filter(|(number, _)| *number > 0) {
            _ = write!(told, ", {number} {what}");
        }
        print::note(&told);
        *self.count()
    }

    /// Says how far it came.
    pub(super) fn interrupted(&self) {
        self.bar.finish_and_clear();
        print::note(&format!("interrupted: {} of {} committed", self.count().committed, files(self.files)));
    }

    /// Counts an outcome in; how many files are done.
    fn add(&self, delivery: &Delivery) -> usize {
        let mut count = self.count();
        count.sent_bytes += delivery.sent_bytes;
        count.resumed += usize::from(delivery.resumed_at > 0);
        match &delivery.outcome {
            Outcome::Committed(receipt) => {
                count.committed += 1;
                count.committed_bytes += receipt.size;
            }
            Outcome::Rejected { .. } => count.rejected += 1,
            Outcome::Failed { .. } => count.failed += 1,
        }
        count.committed + count.rejected + count.failed
    }

    fn count(&self) -> MutexGuard<'_, Summary> {
        // Numbers are never half-written.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves the bar for one file.
#[derive(Debug)]
pub(super) struct FileProgress<'a> {
    bar: &'a ProgressBar,
    size: Option<u64>,
    sent: u64,
}

impl FileProgress<'_> {
    /// So many bytes of it are behind; fewer than before where it starts again.
    pub(super) fn sent(&mut self, sent: u64) {
        match sent.checked_sub(self.sent) {
            Some(more) => self.bar.inc(more),
            None => self.bar.dec(self.sent - sent),
        }
        self.sent = sent;
    }

    /// Nothing more comes: what was planned for it is behind, and what it had beyond that was not foreseen.
    pub(super) fn done(mut self) {
        if let Some(size) = self.size {
            self.bar.inc_length(self.sent.saturating_sub(size));
            self.sent(self.sent.max(size));
        }
    }
}

fn style(bytes: Option<u64>) -> ProgressStyle {
    let template = match bytes {
        Some(_) => {
            "{spinner:.cyan} {msg} files  {wide_bar:.cyan/dim}  {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left"
        }
        None => "{spinner:.cyan} {msg} files  {binary_bytes}  {binary_bytes_per_sec}  {elapsed}",
    };
    ProgressStyle::with_template(template).expect("the templates are well-formed").progress_chars("━╸─")
}

/// What `--json` prints of a file.
#[derive(Debug, Serialize)]
struct Line<'a> {
    path: &'a str,
    name: &'a str,
    sent_bytes: u64,
    /// Where sending went on at what the server had kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed_at: Option<u64>,
    #[serde(flatten)]
    fate: Fate<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
enum Fate<'a> {
    Committed {
        receipt: &'a Receipt,
    },
    Rejected {
        code: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        report: Option<&'a Report>,
    },
    Failed {
        code: &'a str,
        message: &'a str,
    },
}

fn json(path: &str, name: &str, delivery: &Delivery) -> String {
    let Delivery { outcome, sent_bytes, resumed_at } = delivery;
    let fate = match outcome {
        Outcome::Committed(receipt) => Fate::Committed { receipt },
        Outcome::Rejected { code, message, report } => Fate::Rejected { code, message, report: report.as_ref() },
        Outcome::Failed { code, message, .. } => Fate::Failed { code, message },
    };
    let resumed_at = Some(*resumed_at).filter(|offset| *offset > 0);
    serde_json::to_string(&Line { path, name, sent_bytes: *sent_bytes, resumed_at, fate })
        .expect("a line has text keys only")
}
