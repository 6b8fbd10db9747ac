//! A moment as people write it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The end of the year 9999, beyond which RFC 3339 has no spelling.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// So long ago, or a date or a time of RFC 3339; in UTC where it says no other.
pub(super) fn parse(text: &str) -> Result<SystemTime, String> {
    match humantime::parse_duration(text) {
        Ok(ago) => Ok(SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH).clamp(UNIX_EPOCH, UNIX_EPOCH + LAST)),
        Err(_) => moment(text).map(|at| at.clamp(UNIX_EPOCH, UNIX_EPOCH + LAST)).ok_or_else(|| {
            "use a duration such as 90s, 2h or 3days, a date such as 2026-10-17, or a time such as 2026-10-17T08:00, \
             2026-10-17T08:00:00Z or 2026-10-17T10:00+02:00"
                .to_owned()
        }),
    }
}

fn moment(text: &str) -> Option<SystemTime> {
    if !text.contains([':', 'T']) {
        return humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).ok();
    }
    let (local, offset) = text.len().checked_sub(6).and_then(|at| text.split_at_checked(at))?;
    // RFC 3339 section 5.6, time-numoffset: +02:00 is two hours ahead of UTC.
    let ahead = offset.strip_prefix('+').and_then(hours_and_minutes);
    let behind = offset.strip_prefix('-').and_then(hours_and_minutes);
    match (ahead, behind) {
        (Some(ahead), _) => without_zone(local)?.checked_sub(ahead),
        (None, Some(behind)) => without_zone(local)?.checked_add(behind),
        (None, None) => without_zone(text.strip_suffix('Z').unwrap_or(text)),
    }
}

/// A time in UTC; the seconds may be left out.
fn without_zone(text: &str) -> Option<SystemTime> {
    let seconds = if text.matches(':').count() == 1 { ":00" } else { "" };
    humantime::parse_rfc3339_weak(&format!("{text}{seconds}")).ok()
}

fn hours_and_minutes(text: &str) -> Option<Duration> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number < 60);
    Some(Duration::from_secs(number(hours)? * 3600 + number(minutes)? * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_all_its_spellings() {
        for (text, seconds) in [
            ("2026-10-17", 1_792_195_200),
            ("2026-10-17T00:00:01Z", 1_792_195_201),
            ("2026-10-17T00:00:01.000Z", 1_792_195_201),
            ("2026-10-17 00:00:01", 1_792_195_201),
            ("2026-10-17T02:00:01+02:00", 1_792_195_201),
            ("2026-10-16T18:30:01-05:30", 1_792_195_201),
            ("2026-10-17T00:01", 1_792_195_260),
            ("2026-10-17 00:01Z", 1_792_195_260),
            ("2026-10-17T02:01+02:00", 1_792_195_260),
        ] {
            assert_eq!(parse(text), Ok(UNIX_EPOCH + Duration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "",
            "yesterday",
            "2026",
            "2026-13-01",
            "2026-10-17T",
            "2026-10-17T08",
            "2026-10-17T08:",
            "2026-10-17T08:0",
            "2026-10-17T02:00:01+99:00",
            "ä:00000",
            "12:00",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_counts_back_from_now() {
        let (before, hour_ago, after) = (SystemTime::now(), parse("1h").unwrap(), SystemTime::now());
        let hour = Duration::from_hours(1);
        assert!((before..=after).contains(&(hour_ago + hour)));
        assert_eq!(parse("100000years"), Ok(UNIX_EPOCH));
        assert_eq!(parse("1970-01-01T00:00:00+02:00"), Ok(UNIX_EPOCH));
        assert_eq!(parse("9999-12-31T23:59:59-01:00"), Ok(UNIX_EPOCH + LAST));
    }
}
