//! The time of day, which an operator may have set wrong: never a panic, and always a time that RFC
//! 3339 can express.
//!
//! Many libraries panic where the clock is before 1970, and some after 9999. Nothing else here
//! reads the clock for a date, an id or a receipt.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::{NoContext, Timestamp, Uuid};

use crate::error::{Error, ErrorKind, Result};

/// The last second that RFC 3339 can express, 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

/// Now, in whole milliseconds. A clock before 1970 or after 9999 gives the nearest time within.
pub(crate) fn now() -> SystemTime {
    in_whole_millis(SystemTime::now())
}

/// Whether the clock can be right.
///
/// # Errors
/// [`ErrorKind::Clock`] before 1970 and after 9999.
pub(crate) fn check() -> Result<()> {
    check_time(SystemTime::now())
}

/// A new id that sorts by its time of birth (UUID version 7, RFC 9562 section 5.7).
pub(crate) fn new_uuid() -> Uuid {
    let since = since_epoch(SystemTime::now());
    Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()))
}

/// A time as RFC 3339 has it, in milliseconds; the nearest that it can express.
pub(crate) fn rfc3339(time: SystemTime) -> impl std::fmt::Display {
    humantime::format_rfc3339_millis(in_whole_millis(time))
}

fn in_whole_millis(time: SystemTime) -> SystemTime {
    let since = since_epoch(time);
    UNIX_EPOCH + Duration::from_secs(since.as_secs()) + Duration::from_millis(since.subsec_millis().into())
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().min(Duration::from_secs(LAST_SECOND))
}

fn check_time(time: SystemTime) -> Result<()> {
    let wrong = match time.duration_since(UNIX_EPOCH) {
        Err(_) => "before 1970",
        Ok(since) if since.as_secs() > LAST_SECOND => "after 9999",
        Ok(_) => return Ok(()),
    };
    let message = format!("the server's clock is {wrong}: set it (with NTP or `date`), then send again");
    Err(Error::new(ErrorKind::Clock, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> SystemTime {
        let distance = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
    }

    #[test]
    fn a_clock_outside_of_its_range_is_an_error_and_no_panic() {
        let last = i64::try_from(LAST_SECOND).unwrap();
        for (seconds, told, shown) in [
            (i64::MIN, "before 1970", "1970-01-01T00:00:00.000Z"),
            (-1, "before 1970", "1970-01-01T00:00:00.000Z"),
            (0, "", "1970-01-01T00:00:00.000Z"),
            (last, "", "9999-12-31T23:59:59.000Z"),
            (last + 1, "after 9999", "9999-12-31T23:59:59.000Z"),
            (i64::MAX, "after 9999", "9999-12-31T23:59:59.000Z"),
        ] {
            let checked = check_time(at(seconds));
            assert_eq!(checked.is_ok(), told.is_empty(), "{seconds}");
            if let Err(error) = checked {
                assert_eq!(error.kind(), ErrorKind::Clock);
                assert!(error.to_string().contains(told), "{error}");
            }
            assert_eq!(rfc3339(at(seconds)).to_string(), shown, "{seconds}");
        }
    }

    #[test]
    fn ids_sort_by_their_time_of_birth() {
        let first = new_uuid();
        assert_eq!(first.get_version_num(), 7);
        std::thread::sleep(Duration::from_millis(2));
        assert!(first < new_uuid());
    }
}
