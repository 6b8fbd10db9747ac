//! Files that stand in the store already: what a sender can make the server read of them, and look for among them.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate::upload::Digest;

use crate::harness::{Attacker, BOUND, GoodSender, MIB, Setup, Watch};

/// Of a file of this many zeros.
const GIB: u64 = 1 << 30;
const GIB_DIGEST: &str = "sha256:49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14";

/// Long enough for all of them on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// Puts what the server notes of an upload on a file that was made by another way.
fn note(file: &Path, id: &str, digest: &str) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let record = format!(r#"{{"id":"{id}","name":"{name}","digest":"{digest}","committed_at":"2026-01-01T00:00:00Z"}}"#);
    rustix::fs::setxattr(file, "user.tidegate", record.as_bytes(), rustix::fs::XattrFlags::empty()).unwrap();
}

fn resume(name: &str, id: &str, size: u64) -> String {
    format!("{{\"op\":\"put\",\"name\":\"{name}\",\"id\":\"{id}\",\"size\":{size},\"resume\":true}}\n")
}

/// Each of them is read whole before it is answered: the digest in the receipt is that of the bytes.
#[test]
fn resends_of_huge_files_keep_no_other_name_waiting() {
    let victim = Setup::new().start();
    let stand = |name: &str, size: u64, digest: &str| {
        let path = victim.stored_in.join(name);
        File::create(&path).unwrap().set_len(size).unwrap();
        note(&path, name, digest);
    };
    let huge: Vec<_> = (0..12).map(|number| format!("huge-{number}.bin")).collect();
    for name in &huge {
        stand(name, GIB, GIB_DIGEST);
    }
    let size = 16 * MIB;
    let digest = Digest::of(&vec![0; usize::try_from(size).unwrap()]).to_string();
    stand("smaller.bin", size, &digest);
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    let attack: Vec<_> = huge
        .iter()
        .map(|name| {
            let mut attacker = Attacker::connect(&victim);
            attacker.waits(PATIENCE);
            assert!(attacker.send(resume(name, name, GIB).as_bytes()));
            attacker
        })
        .collect();
    let mut took = Vec::new();
    for number in 0..20 {
        let (id, body) = (format!("good-{number}"), format!("{number:05}"));
        let start = Instant::now();
        let mut sender = Attacker::connect(&victim);
        sender.waits(PATIENCE);
        sender.send(resume(&format!("resumed/{number}.bin"), &id, 5).as_bytes());
        let ready = sender.line().unwrap_or_default();
        assert!(ready.contains("\"event\":\"ready\""), "{ready}");
        sender.send(body.as_bytes());
        let committed = sender.line().unwrap_or_default();
        took.push(start.elapsed());
        assert!(committed.contains("\"event\":\"committed\""), "{committed}");
    }
    good.commits(20);
    let longest = took.iter().max().unwrap();
    assert!(*longest <= BOUND, "a resume of another name took {longest:?}");
    // It is read in turns with the others.
    let mut resend = Attacker::connect(&victim);
    resend.waits(PATIENCE);
    resend.send(resume("smaller.bin", "smaller.bin", size).as_bytes());
    let answer = resend.line().unwrap_or_default();
    assert!(answer.contains("\"event\":\"committed\"") && answer.contains(&digest), "{answer}");
    drop(attack);
    good.assert_unharmed();
    watch.assert_peak_below(watch.memory + 64 * MIB);
}

#[test]
fn a_name_with_thousands_of_versions_costs_no_more_than_another() {
    let victim = Setup::new().start();
    for number in 1..=9_990_u32 {
        let name = if number == 1 { "a.csv".to_owned() } else { format!("a~{number}.csv") };
        let (path, text) = (victim.stored_in.join(&name), format!("a,b\n{number:05},1\n"));
        fs::write(&path, &text).unwrap();
        note(&path, &format!("u{number}"), &Digest::of(text.as_bytes()).to_string());
    }
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    let start = Instant::now();
    let mut answers = Vec::new();
    for number in 0..300 {
        let body = format!("a,b\n{number:05},2\n");
        let mut sender = Attacker::connect(&victim);
        sender.waits(PATIENCE);
        sender.send(format!("a.csv {}\n{body}", body.len()).as_bytes());
        answers.push(sender.line().unwrap_or_default());
    }
    let took = start.elapsed();
    eprintln!("300 puts of a name with 9,990 versions: {took:?}");
    good.commits(10);
    for (number, answer) in (9_991..=9_999).zip(&answers) {
        assert!(answer.starts_with(&format!("OK a~{number}.csv ")), "{answer}");
    }
    assert!(answers[9..].iter().all(|answer| answer.starts_with("ERR conflict ")), "{:?}", answers[9]);
    let refused = victim.ended("conflict");
    assert_eq!((refused.ledger, refused.metric), (291, 291));
    good.assert_unharmed();
    // A look at each version for each put takes minutes.
    assert!(took <= 10 * BOUND, "300 puts took {took:?}");
    watch.assert_back();
}
