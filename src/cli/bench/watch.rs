//! The line that moves while a person watches.

use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::load::{End, Load};
use crate::cli::print;

const TICK: Duration = Duration::from_millis(200);

/// Shows how far a load is.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    load: &'a Load,
    began: Instant,
    bar: ProgressBar,
    ticks: Interval,
    /// When the line was last drawn, and how much had its receipt then.
    last: (Instant, u64, u64),
}

impl<'a> Watch<'a> {
    pub(super) fn over(load: &'a Load, began: Instant) -> Self {
        let length = match load.end {
            End::Files(files) => files,
            End::At(end) => millis(end - began),
        };
        let style = ProgressStyle::with_template("{spinner:.cyan} {msg}  {wide_bar:.cyan/dim}  {elapsed}");
        // Indicatif draws nothing where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr())
            .with_style(style.expect("the template is well-formed").progress_chars("━╸─"));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { load, began, bar, ticks, last: (began, 0, 0) }
    }

    /// Waits until the line is due, and draws it: what has come since the last time.
    pub(super) async fn tick(&mut self) {
        self.ticks.tick().await;
        if self.bar.is_hidden() {
            return;
        }
        let (files, bytes) = self.load.book.progress();
        let (last_time, last_files, last_bytes) = std::mem::replace(&mut self.last, (Instant::now(), files, bytes));
        let per_second = |number: u64| number * 1000 / millis(last_time.elapsed()).max(1);
        self.bar.set_position(match self.load.end {
            End::Files(_) => files,
            End::At(_) => millis(self.began.elapsed()),
        });
        self.bar.set_message(format!(
            "{files} files  {}  {} files/s  {}/s",
            BinaryBytes(bytes),
            per_second(files - last_files),
            BinaryBytes(per_second(bytes - last_bytes))
        ));
    }

    pub(super) fn note(&self, text: &str) {
        self.bar.suspend(|| print::note(text));
    }

    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
