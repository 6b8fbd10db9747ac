//! The cost of an attack to the server, seen from outside.

use std::time::{Duration, Instant};

use super::{MIB, SLOWNESS, Victim};

/// The memory that an allocator may keep of what was given back: small pieces in every arena. The
/// same as is allowed on top of the budget at the peak, so that a second attack does not begin
/// higher than the first one may end.
const MEMORY_SLACK: u64 = 64 * MIB;

/// Descriptors that the server may open once and keep: the day's ledger, folders, idle connections
/// to a store.
const DESCRIPTOR_SLACK: usize = 16;

/// Connections close, and sweeps run, some time after the attack.
const PATIENCE: Duration = Duration::from_secs(30).saturating_mul(SLOWNESS);

/// The memory in use before the attack.
pub(crate) struct Watch<'a> {
    victim: &'a Victim,
    pub(crate) memory: u64,
    pub(crate) descriptors: usize,
}

impl<'a> Watch<'a> {
    /// Begins once the server has done what it does once: the first commits start threads and open
    /// files.
    pub(crate) fn over(victim: &'a Victim) -> Self {
        for number in 0..4 {
            let answer = victim.serve.exchange(format!("warm/{number}.csv 8\na,b\n1,2\n").as_bytes());
            assert!(answer.starts_with("OK "), "{answer}");
        }
        victim.forget_peak();
        Self { victim, memory: victim.memory(), descriptors: victim.descriptors() }
    }

    /// The most memory that was in use since the start.
    pub(crate) fn peak(&self) -> u64 {
        self.victim.peak_memory()
    }

    /// Waits until memory grows no more, as far as a second shows it.
    pub(crate) fn settles(&self) {
        let start = Instant::now();
        let (mut peak, mut since) = (0, start);
        while since.elapsed() < Duration::from_secs(1) && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
            let memory = self.victim.memory();
            if memory > peak + MIB {
                (peak, since) = (memory, Instant::now());
            }
        }
    }

    pub(crate) fn assert_peak_below(&self, bytes: u64) {
        let peak = self.peak();
        eprintln!("memory: {} MiB at the start, {} MiB at the peak", self.memory / MIB, peak / MIB);
        assert!(peak <= bytes, "{} MiB in use at the peak, {} MiB allowed", peak / MIB, bytes / MIB);
    }

    /// Memory and descriptors are back, or come back within the deadline.
    pub(crate) fn assert_back(&self) {
        let start = Instant::now();
        loop {
            let (memory, descriptors) = (self.victim.memory(), self.victim.descriptors());
            if memory <= self.memory + MEMORY_SLACK && descriptors <= self.descriptors + DESCRIPTOR_SLACK {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{} MiB and {descriptors} descriptors are in use; before the attack {} MiB and {}",
                memory / MIB,
                self.memory / MIB,
                self.descriptors
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
