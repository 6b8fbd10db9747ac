//! Which way of flushing is the cheaper one now: together or each for himself.
//!
//! Neither always is. Where a disk is short of operations, one flush for all is several times faster; where it is not, the
//! kernel runs many flushes side by side, and one for all makes them wait. So both are measured, by the busy time that a flush
//! costs. Knows no clock: it is told the time.

use std::time::{Duration, Instant};

/// How flushes that are wanted at the same time are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One for all who wait.
    Together,
    /// Each for himself, side by side.
    Apart,
}

impl Way {
    fn other(self) -> Self {
        match self {
            Self::Together => Self::Apart,
            Self::Apart => Self::Together,
        }
    }
}

/// Busy time after which a way has shown what it costs.
const WINDOW: Duration = Duration::from_millis(100);
/// Flushes after which it has.
const ENOUGH: u32 = 32;
/// The cheaper way is kept for so many times the time that it took to try the other one, which bounds what trying costs.
const KEPT: u32 = 16;

/// The way that is taken now, and what both have cost.
#[derive(Debug)]
pub(super) struct Pace {
    way: Way,
    /// Never, where it is not to be measured.
    window: Duration,
    under_way: u32,
    busy_since: Option<Instant>,
    busy: Duration,
    flushes: u32,
    /// What a flush cost the other way, when that was last taken.
    other: Option<Duration>,
    /// Busy time until the other way is tried again; zero while it is tried.
    kept: Duration,
}

impl Pace {
    /// Takes what turns out to be the cheaper way.
    pub(super) fn measured() -> Self {
        Self { window: WINDOW, ..Self::steady(Way::Together) }
    }

    /// Takes one way.
    pub(super) fn steady(way: Way) -> Self {
        Self {
            way,
            window: Duration::MAX,
            under_way: 0,
            busy_since: None,
            busy: Duration::ZERO,
            flushes: 0,
            other: None,
            kept: Duration::ZERO,
        }
    }

    pub(super) fn way(&self) -> Way {
        self.way
    }

    #[cfg(test)]
    pub(super) fn turn_to(&mut self, way: Way) {
        self.way = way;
    }

    /// A flush is wanted.
    pub(super) fn begin(&mut self, now: Instant) {
        self.under_way += 1;
        self.busy_since.get_or_insert(now);
    }

    /// One that was wanted is done.
    pub(super) fn end(&mut self, now: Instant) {
        self.under_way -= 1;
        self.flushes += 1;
        if let Some(since) = self.busy_since {
            self.busy += now.saturating_duration_since(since);
            self.busy_since = (self.under_way > 0).then_some(now);
        }
        if self.busy >= self.window && self.flushes >= ENOUGH {
            self.judge();
        }
    }

    fn judge(&mut self) {
        let cost = self.busy / self.flushes;
        let was_trial = self.kept.is_zero();
        self.kept = match self.other {
            Some(_) if was_trial => self.busy * KEPT,
            Some(_) | None => self.kept.saturating_sub(self.busy),
        };
        // What was just tried is left where it cost more; what was kept long enough is left for a trial.
        let leave = if was_trial { self.other.is_none_or(|other| other < cost) } else { self.kept.is_zero() };
        if leave {
            self.way = self.way.other();
            self.other = Some(cost);
        }
        (self.busy, self.flushes) = (Duration::ZERO, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk on which flushes cost so much, either way, and a pace that is measured on it.
    struct Bench {
        pace: Pace,
        now: Instant,
        spent: [Duration; 2],
    }

    impl Bench {
        fn new() -> Self {
            Self { pace: Pace::measured(), now: Instant::now(), spent: [Duration::ZERO; 2] }
        }

        /// Flushes 10,000 times, sixteen at a time; says how often each for himself.
        fn run(&mut self, together: Duration, apart: Duration) -> u32 {
            self.spent = [Duration::ZERO; 2];
            let mut times_apart = 0;
            for _ in 0..10_000 / 16 {
                let way = self.pace.way();
                (0..16).for_each(|_| self.pace.begin(self.now));
                let took = 16 * if way == Way::Apart { apart } else { together };
                self.now += took;
                self.spent[usize::from(way == Way::Apart)] += took;
                times_apart += if way == Way::Apart { 16 } else { 0 };
                (0..16).for_each(|_| self.pace.end(self.now));
                // Nothing is wanted for a while, which is nobody's cost.
                self.now += Duration::from_secs(1);
            }
            times_apart
        }
    }

    const CHEAP: Duration = Duration::from_micros(500);
    const DEAR: Duration = Duration::from_millis(1);

    #[test]
    fn the_cheaper_way_is_taken_and_the_other_one_tried_now_and_then() {
        let mut bench = Bench::new();
        let apart = bench.run(CHEAP, DEAR);
        assert!((100..1_500).contains(&apart), "{apart} of 10,000 apart while together is cheaper");
        // The disk changes.
        let apart = bench.run(DEAR, CHEAP);
        assert!((7_000..9_900).contains(&apart), "{apart} of 10,000 apart while that is cheaper");
        let apart = bench.run(CHEAP, DEAR);
        assert!((100..3_000).contains(&apart), "{apart} of 10,000 apart while together is cheaper again");
    }

    #[test]
    fn what_it_costs_to_try_is_bounded_however_dear_the_other_way_is() {
        let mut bench = Bench::new();
        bench.run(Duration::from_secs(1), CHEAP);
        bench.run(Duration::from_secs(1), CHEAP);
        let [together, _] = bench.spent;
        assert_eq!(together, Duration::ZERO, "the first try has cost too much to be made again so soon");
    }

    #[test]
    fn a_steady_pace_never_changes() {
        let mut bench = Bench { pace: Pace::steady(Way::Apart), ..Bench::new() };
        assert_eq!(bench.run(CHEAP, DEAR), 10_000);
    }
}
