use tokio::time::Instant;

use super::*;
use crate::error::ErrorKind;

const MIB: usize = 1 << 20;

fn budget(mib: u64) -> Arc<Budget> {
    Arc::new(Budget::new(mib << 20, 0, &Metrics::new()))
}

#[tokio::test]
async fn what_does_not_fit_waits_and_is_refused_in_the_end() {
    let budget = budget(8);
    let mut first = budget.lease(Use::Parts);
    first.grow(6 * MIB).await.unwrap();
    let mut second = budget.lease(Use::Parts);
    assert!(!second.try_grow(2 * MIB));
    let refused = second.grow(2 * MIB).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert_eq!(budget.refused(), 1);
    assert_eq!(refused.find::<OutOfMemory>(), Some(&OutOfMemory { bytes: 2 * MIB }));
    assert!(refused.to_string().contains("limits.max_memory_bytes"), "{refused}");
    let waiting = tokio::spawn(async move { second.grow(2 * MIB).await.map(|()| second) });
    tokio::task::yield_now().await;
    first.shrink(4 * MIB);
    assert_eq!(waiting.await.unwrap().unwrap().bytes(), 2 * MIB);
    assert_eq!(first.bytes(), 4 * MIB);
}

#[tokio::test]
async fn small_leases_go_on_where_large_ones_have_taken_all() {
    let budget = budget(8);
    let mut large = budget.lease(Use::Parts);
    large.grow(100 * MIB).await.unwrap();
    let most = 7 * MIB - CONNECTION_BYTES;
    assert_eq!(large.bytes(), most, "no lease is larger than what there is");
    let mut small = budget.lease(Use::Validators);
    assert!(small.try_grow(SMALL_BYTES));
    assert!(!small.try_grow(SMALL_BYTES + 1), "a lease that becomes large has no right to the reserve");
    assert_eq!(small.bytes(), SMALL_BYTES);
    for usage in [Use::Answers, Use::HeldFiles, Use::ReadBuffers] {
        assert!(!budget.lease(usage).try_grow(UNIT_BYTES), "{usage:?} have no right to the reserve");
    }
    drop(large);
    assert!(small.try_grow(MIB));
    let mut rest = budget.lease(Use::Validators);
    assert!(rest.try_grow(5 * MIB), "what was held of the reserve is back, and of the rest 5 MiB are free");
    assert!(budget.lease(Use::Parts).try_grow(SMALL_BYTES));
}

#[test]
fn what_is_held_is_counted_by_its_use() {
    let metrics = Metrics::new();
    let budget = Arc::new(Budget::new(64 << 20, 16, &metrics));
    let counted = |usage: Use| {
        let page = metrics.encode().unwrap();
        let line = format!("tidegate_memory_bytes{{use=\"{}\"}} ", usage.name());
        page.lines().find_map(|found| found.strip_prefix(&line)?.parse::<usize>().ok()).unwrap()
    };
    let (mut lease, share) = (budget.lease(Use::Validators), budget.connection());
    assert!(lease.try_grow(10_000));
    assert_eq!((counted(Use::Validators), counted(Use::Connections)), (10 << 10, CONNECTION_BYTES));
    lease.shrink(5000);
    assert_eq!(counted(Use::Validators), 5 << 10);
    drop((lease, share));
    assert!(Use::ALL.into_iter().all(|usage| counted(usage) == 0));
}

#[tokio::test]
async fn small_leases_that_wait_come_before_those_that_ask_later() {
    let budget = budget(8);
    let (mut general, mut reserve) = (budget.lease(Use::Parts), budget.lease(Use::Validators));
    assert!(general.try_grow(100 * MIB) && reserve.try_grow(SMALL_BYTES));
    let mut rest: Vec<_> = (0..3).map(|_| budget.lease(Use::Validators)).collect();
    assert!(rest.iter_mut().all(|lease| lease.try_grow(SMALL_BYTES)));
    let mut first = budget.lease(Use::Validators);
    let waiting = tokio::spawn(async move { first.grow(SMALL_BYTES).await.map(|()| first) });
    budget.shortage().await;
    tokio::task::yield_now().await;
    reserve.shrink(SMALL_BYTES / 2);
    assert!(!budget.lease(Use::Validators).try_grow(UNIT_BYTES), "half of what the first one waits for is free");
    reserve.shrink(0);
    assert_eq!(waiting.await.unwrap().unwrap().bytes(), SMALL_BYTES);
}

#[tokio::test]
async fn leases_that_hold_memory_give_way_to_those_that_hold_none() {
    let budget = budget(8);
    let mut holders = [budget.lease(Use::Parts), budget.lease(Use::Parts)];
    for holder in &mut holders {
        holder.grow(3 * MIB).await.unwrap();
    }
    let growing = holders.map(|mut holder| tokio::spawn(async move { holder.grow(5 * MIB).await }));
    let (mut newcomer, start) = (budget.lease(Use::Parts), Instant::now());
    newcomer.grow(2 * MIB).await.unwrap();
    assert!(start.elapsed() < MAX_WAIT, "{:?}", start.elapsed());
    let mut refused = 0;
    for growing in growing {
        refused += usize::from(growing.await.unwrap().is_err());
    }
    assert!(refused > 0);
    assert_eq!(budget.pending_empty.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_holder_counts_the_leases_that_its_work_took() {
    let (budget, holder) = (budget(8), Arc::new(Holder::default()));
    let mut other = budget.lease(Use::Parts);
    let mut lease = holder.scope(async { budget.lease(Use::Parts) }).await;
    assert!(lease.try_grow(3 * MIB) && other.try_grow(MIB));
    assert_eq!(holder.bytes(), 3 * MIB);
    lease.shrink(MIB);
    assert_eq!(holder.bytes(), MIB);
    drop(lease);
    assert_eq!(holder.bytes(), 0);
}

#[tokio::test]
async fn a_lease_that_waits_says_for_how_much() {
    let budget = budget(8);
    let (mut first, mut second) = (budget.lease(Use::Parts), budget.lease(Use::Parts));
    assert!(first.try_grow(6 * MIB) && second.try_grow(100 << 10));
    let waiting = tokio::spawn(async move { second.grow(2 * MIB).await });
    budget.shortage().await;
    assert_eq!(budget.pending_bytes(), 2 * MIB - (100 << 10));
    drop(first);
    waiting.await.unwrap().unwrap();
    assert_eq!(budget.pending_bytes(), 0);
}

#[test]
fn connections_have_half_of_the_memory_at_most() {
    for (limit_bytes, fit) in [(1 << 30, 4096), (64 << 20, 1024), (0, 1)] {
        assert_eq!(Budget::new(limit_bytes, 4096, &Metrics::new()).max_connections(), fit, "{limit_bytes}");
    }
}
